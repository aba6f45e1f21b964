"""SINE through the command: few-shot episodes by three tasks, and a video object by object."""

import json

import pyarrow.parquet as pq
import pytest
from torch.nn.modules.module import register_module_forward_hook


@pytest.fixture
def evaluated(tmp_path, miniatures, command, tiny_root):
    """Runs a miniature of a benchmark; gives the folder and how many images DINOv2 saw."""

    def run(benchmark, profile, *more):
        root, out = tmp_path / "data", tmp_path / "out"
        miniatures[benchmark](root)
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
    assert passes == 2 + 2, "the support of each object, and each frame once for both"
    assert {each["frame"] for each in row["objects"]} == {0, 1}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["formula"] == "JF"
    resolved = json.dumps(json.loads((out / "manifest.json").read_text()))
    assert '"overlaps": "best"' in resolved, "switches are written down"


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
