"""PerSense-D with a prediction missing and a folder named 1001: our number, and the release's."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.objects import Object
from pipeline.runfolder.parts import read_rows

TINT = str(Path(__file__).parents[1] / "pipeline" / "tint.yaml")
HALF = 12  # pixels of a square


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of a red square, farther to the right in each; Beads/01 cannot be read."""
    root = tmp_path_factory.mktemp("persense")
    for name in ("1001", "Beads"):
        folder = root / "data" / "Images" / name
        folder.mkdir(parents=True)
        for number in range(4):
            image = np.full((48, 64, 3), 120, np.uint8)
            part = slice(10, 10 + 2 * HALF), slice(6 * number, 6 * number + 2 * HALF)
            image[part] = (220, 30, 30)
            mask = np.zeros((48, 64), np.uint8)
            mask[part] = 128
            Image.fromarray(image).save(folder / f"{number:02}.jpg", quality=98)
            Image.fromarray(mask).save(folder / f"{number:02}.png")
    (root / "data" / "Images" / "Beads" / "01.jpg").write_bytes(b"no image")
    return root


def ran(command, root, out, *more):
    words = ["evaluate", "persense-d", "--data-root", root, "--out", out, "--profile", TINT]
    code = command(*words, "--engine", "local", *more)
    return code, json.loads((out / "summary.json").read_text())


def masks_of(out):
    """Key -> what was found."""
    return {
        row["key"]: np.any([Object.from_record(each).mask for each in row["objects"]], axis=0)
        for row in read_rows(str(out))
        if row["row_status"] == "ok"
    }


def ratio(root, found, pairs):
    """ΣI / ΣU over (predicted, true) pairs of names."""
    inside = union = 0
    for predicted, true in pairs:
        truth = np.asarray(Image.open(root / "data" / "Images" / f"{true}.png")) > 0
        mask = found[f"Images/{predicted}.jpg"]
        inside, union = inside + (mask & truth).sum(), union + (mask | truth).sum()
    return inside / union


def value(summary):
    (variant,) = summary["variants"]
    return variant["numbers"]["A"]["value"]


def test_each_prediction_is_compared_with_its_own_ground_truth(command, root, tmp_path):
    code, summary = ran(command, root, tmp_path / "run")
    assert (code, summary["partial"]) == (3, True)
    found = masks_of(tmp_path / "run")
    own = {name: [(each, each)] for name in ("1001", "Beads") for each in [f"{name}/02"]}
    own["1001"] += [("1001/01", "1001/01"), ("1001/03", "1001/03")]
    own["Beads"] += [("Beads/03", "Beads/03")]
    expected = np.mean([ratio(root, found, pairs) for pairs in own.values()])
    assert value(summary) == pytest.approx(expected, abs=1e-12)
    assert value(summary) > 0.9


def test_as_released_pairs_shift_files_are_lost_and_a_folder_is_left_out(command, root, tmp_path):
    code, summary = ran(command, root, tmp_path / "run", "--prompt-rule", "released")
    assert code == 3
    found = masks_of(tmp_path / "run")
    assert set(found) == {"Images/Beads/02.jpg"}
    shifted = ratio(root, found, [("Beads/02", "Beads/01")])
    assert shifted < 0.7
    assert value(summary) == pytest.approx((0 + shifted) / 2, abs=1e-12)
    assert summary["never_drawn"] == {"": ["1001"]}
    (variant,) = summary["variants"]
    assert variant["coverage"]["ok"] == variant["coverage"]["failed"] == 1


def test_the_numbers_of_the_paper_stand_beside_it(command, root, tmp_path):
    _, summary = ran(command, root, tmp_path / "run", "--limit", "1")
    (variant,) = summary["variants"]
    listed = {each["method"]: each["value"] for each in variant["comparisons"]}
    assert listed == {
        **{"PerSense": 71.61, "Grounded-SAM": 65.92, "Matcher": 62.78, "SegGPT": 55.5},
        **{"PerSAM": 24.45, "PerSAM-F": 29.34},
    }
    assert all(each["delta"] is not None for each in variant["comparisons"])
