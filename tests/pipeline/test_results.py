"""Runs that are compared with ground truth: what is counted, and what is said where nothing is."""

import numpy as np
import pytest
from PIL import Image

from ipseg.errors import SourceError
from pipeline.labels.presence import quality_at
from pipeline.runfolder.finished import Retry

TRUTH = {
    "red/a.png": (4, 6, 20, 20),  # as it is found
    "red/deep/c.png": (2, 2, 20, 10),  # half of what is found
    "blue/b.png": (30, 10, 20, 20),
    "blue/deep/c.png": (30, 10, 20, 25),
}


def mask(path, box=None, size=(60, 40)):
    """Writes a mask, width x height, with a box (x, y, width, height)."""
    found = np.zeros((size[1], size[0]), np.uint8)
    if box is not None:
        x, y, width, height = box
        found[y : y + height, x : x + width] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(found).save(path)


@pytest.fixture
def compared(painted):
    """Function: masks by name -> finished run over the painted images, and its rows."""

    def run(masks=TRUTH, **more):
        folder = painted.root / "masks"
        for name, box in masks.items():
            mask(folder / name, box)
        return painted.segment("run", masks=str(folder), **more)

    return run


def about_masks(run):
    return [each for each in run.warnings if "by its masks" in each]


def test_quality_is_the_mean_over_images_that_have_the_concept(compared):
    run, rows = compared()
    quality = run.metrics["quality"]
    assert quality == quality_at(run.out, run.metrics["suggested"])
    assert (quality["pairs"], quality["failed"]) == (4, 0)
    red, blue = (quality["concepts"][name] for name in ("red", "blue"))
    assert red == {
        **{"mean_iou": pytest.approx(0.75), "average_precision": pytest.approx(1.0)},
        **{"present": 2, "images": 5, "failed": 0},
        **{"precision": None, "recall": 0.0},  # its scores are below what is convincing
    }
    assert blue["mean_iou"] == pytest.approx(1.0)
    assert quality["mean_iou"] == pytest.approx(0.875)
    assert about_masks(run) == []
    absent = {m["concept"]: m for m in rows["d.png"]["metrics"]}
    assert (absent["red"]["ground_truth"], absent["red"]["union"]) == (0, 0)


def test_ground_truth_that_cannot_be_compared_is_counted_and_tried_again(compared, painted):
    wrong = painted.root / "masks" / "red" / "a.png"
    mask(wrong, size=(10, 10))
    run, rows = compared({name: box for name, box in TRUTH.items() if name != "red/a.png"})
    failed = next(m for m in rows["a.png"]["metrics"] if m["concept"] == "red")
    assert (failed["status"], rows["a.png"]["incomplete"]) == ("failed", 1)
    assert "10x10 pixels, its image 60x40" in failed["error_message"]
    assert rows["a.png"]["row_status"] == "ok", "its objects are there"
    quality = run.metrics["quality"]
    assert (quality["failed"], quality["concepts"]["red"]["failed"]) == (1, 1)
    assert quality["concepts"]["red"]["mean_iou"] == pytest.approx(0.5)

    mask(wrong, TRUTH["red/a.png"])
    again, _ = compared({})
    assert again.metrics["rows_before"] == 5, "what is finished stays until somebody asks"
    fixed, rows = compared({}, retry=Retry())
    assert fixed.metrics["rows_before"] == 4
    assert {row["incomplete"] for row in rows.values()} == {0}
    assert fixed.metrics["quality"]["concepts"]["red"]["mean_iou"] == pytest.approx(0.75)


def test_concepts_that_no_mask_has_are_reported(compared, painted):
    """The folder of one of them was forgotten."""
    run, _ = compared({"red/a.png": TRUTH["red/a.png"], "blue/c.png": TRUTH["blue/deep/c.png"]})
    red, blue = (run.metrics["quality"]["concepts"][name] for name in ("red", "blue"))
    assert (red["present"], blue["present"]) == (1, 0)
    (warning,) = about_masks(run)
    assert "no image has 'blue'" in warning
    assert f"{painted.root}/masks/blue/a/b.png" in warning


def test_masks_of_no_image_are_reported(compared, painted):
    for file in (painted.root / "prompts").glob("blue*"):
        file.unlink()
    run, _ = compared({"other.png": TRUTH["red/a.png"]})
    assert run.metrics["quality"] is None
    (warning,) = about_masks(run)
    assert f"that of a/b.jpg is {painted.root}/masks/a/b.png" in warning


def test_masks_of_several_concepts_need_folders(compared, painted):
    with pytest.raises(SourceError, match=r"has no folder 'blue'; .* mask of a/b\.jpg is "):
        compared({"red/a.png": TRUTH["red/a.png"]})
    with pytest.raises(SourceError, match="nowhere does not exist"):
        painted.segment("run", masks=f"{painted.root}/nowhere")
    assert not (painted.root / "run").exists()
