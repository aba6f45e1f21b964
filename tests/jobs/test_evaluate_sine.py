"""SINE through the command: few-shot episodes by three tasks, and a video object by object."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torch.nn.modules.module import register_module_forward_hook

from ipseg.vision.masks import decode_rle


@pytest.fixture
def evaluated(tmp_path, miniatures, command, tiny_root):
    """Runs a miniature of a benchmark; gives the folder and how many images DINOv2 saw."""

    def run(benchmark, profile, *more, make=None):
        root, out = tmp_path / "data", tmp_path / "out"
        (make or miniatures[benchmark])(root)
        seen = []

        def count(network, given, _):
            if type(network).__name__ == "Dinov2Model":
                seen.append(len(given[0]))

        words = ["evaluate", benchmark, "--data-root", root, "--out", out, "--engine", "local"]
        words += ["--profile", profile, "--set", f"models.root={tiny_root}"]
        words += ["--set", "models.device=cpu", "--set", "canvas.side=112", *more]
        watching = register_module_forward_hook(count)
        try:
            assert command(*words) == 0
        finally:
            watching.remove()
        return out, sum(seen)

    return run


def rows_of(out):
    return [
        row
        for part in out.glob("data/shard=*/part-*.parquet")
        for row in pq.read_table(part, partitioning=None).to_pylist()
    ]


def test_frames_of_davis_are_one_video_for_all_its_objects(evaluated):
    out, passes = evaluated("davis-2017", "sine-video")
    (row,) = rows_of(out)
    results = pq.read_table(out / "results.parquet").to_pylist()
    assert len(results) == 4, "two objects in two frames"
    assert {each["status"] for each in results} == {"ok"}
    assert passes == 2 + 3, "the support of each object, and each frame once for both"
    assert {each["frame"] for each in row["objects"]} == {0, 1, 2}
    assert {each["frame"] for each in row["metrics"]} == {1, 2}, "the support is no query"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["formula"] == "JF"
    resolved = json.dumps(json.loads((out / "manifest.json").read_text()))
    assert '"overlaps": "best"' in resolved, "switches are written down"


def test_objects_of_youtube_vos_are_looked_for_from_their_first_frame_on(evaluated):
    out, passes = evaluated("youtube-vos", "sine-video")
    (row,) = rows_of(out)
    names = {each["class_name"]: each["concept"] for each in row["metrics"]}
    asked = {each["class_name"]: set() for each in row["metrics"]}
    for each in row["metrics"]:
        asked[each["class_name"]].add(each["frame"])
    assert asked == {"0a1b/1": {1, 2, 3}, "0a1b/2": {2, 3}}
    found = {
        name: {o["frame"] for o in row["objects"] if o["concept"] == concept}
        for name, concept in names.items()
    }
    assert found == {"0a1b/1": {0, 1, 2, 3}, "0a1b/2": {1, 2, 3}}
    assert passes == 2 + 4
    (variant,) = json.loads((out / "summary.json").read_text())["variants"]
    numbers = {name: each["value"] for name, each in variant["numbers"].items()}
    g = variant["numbers"]["G"]
    assert set(g["folds"]) == {"seen", "unseen"}
    assert g["value"] == pytest.approx((numbers["J"] + numbers["F"]) / 2, abs=1e-12)
    assert variant["counterpart"]["value"] == 66.2


def test_without_ground_truth_there_are_label_maps_for_the_server(
    evaluated, miniatures, tmp_path, capfd
):
    def without(root):
        miniatures["youtube-vos"](root)
        for frame in ("00010", "00015"):
            (root / f"valid/Annotations/0a1b/{frame}.png").unlink()

    out, _ = evaluated("youtube-vos", "sine-video", make=without)
    assert "no ground truth to compare with" in capfd.readouterr().out
    (row,) = rows_of(out)
    assert row["metrics"] == []
    assert not (out / "summary.json").exists()
    maps = sorted((out / "submission/Annotations/0a1b").iterdir())
    assert [each.name for each in maps] == [f"{5 * n:05}.png" for n in range(4)]
    numbers = {}
    for index, path in enumerate(maps):
        with Image.open(path) as image:
            assert image.mode == "P"
            labels = np.asarray(image)
        assert labels.shape == (row["height"], row["width"])
        for each in row["objects"]:
            if each["frame"] == index:
                inside = labels[decode_rle(each["segmentation"])]
                numbers.setdefault(each["concept"], set()).update(np.unique(inside).tolist())
    assert sorted(numbers.values()) == [{1}, {2}]


def test_images_by_themselves_are_no_submission(miniatures, tmp_path, ipseg):
    miniatures["youtube-vos"](tmp_path)
    (tmp_path / "valid/Annotations/0a1b/00015.png").unlink()
    words = ["evaluate", "youtube-vos", "--data-root", tmp_path, "--out", tmp_path / "out"]
    code, _, err = ipseg(*words, "--profile", "classical")
    assert code == 2
    assert "needs a method of sequences: add --profile sine-video" in err


def test_three_tasks_are_columns_of_one_table(evaluated):
    out, passes = evaluated("perseg", "sine", "--sweep", "task=semantic,instance,identity")
    summary = json.loads((out / "summary.json").read_text())
    assert len(summary["variants"]) == 3
    results = pq.read_table(out / "results.parquet").to_pylist()
    assert len(results) == 3 * 4
    assert {each["status"] for each in results} == {"ok"}
    images = {row["key"] for row in rows_of(out)}
    supports = {key for row in rows_of(out / "bank") for key in [row["key"]]}
    assert passes == len(images) + len(supports), "each once, for all tasks"
