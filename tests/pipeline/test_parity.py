"""The local runner and Ray give identical rows, however the work is cut up."""

import pytest

from ipseg.config import load_config
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment


def finished(images, out, *, engine, settings=(), **prompts):
    config = load_config("classical", settings)
    run = segment(Request(str(images), str(out), config, engine=engine, **prompts))
    rows = {row["key"]: row for row in read_rows(str(out))}
    assert sum(run.counts.values()) == len(rows)
    for row in rows.values():
        del row["run_id"]
    return run, rows


@pytest.fixture(scope="module")
def local(image_folder, prompt_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    return finished(image_folder, out, engine="local", prompts=str(prompt_folder))


def test_local_run_finds_the_concepts_and_keeps_the_broken_file(local):
    run, rows = local
    assert run.counts == {"ok": 6, "empty": 0, "failed": 1, "poisoned": 0}
    assert rows["broken.jpg"]["row_status"] == "failed"
    assert rows["broken.jpg"]["error_stage"] == "decode"
    assert rows["broken.jpg"]["objects"] == []
    scores = {
        key: {item["concept"]: item["score"] for item in row["objects"]}
        for key, row in rows.items()
    }
    assert scores["cup-flipped.jpg"]["cup"] > scores["rocket.jpg"]["cup"]
    assert scores["deep/cat-crop.jpg"]["cat"] > scores["rocket.jpg"]["cat"]


def test_batches_change_nothing(local, image_folder, prompt_folder, tmp_path):
    settings = ("runtime.batch_size=1", "runtime.part_rows=3")
    prompts = str(prompt_folder)
    out = tmp_path / "run"
    _, rows = finished(image_folder, out, engine="local", settings=settings, prompts=prompts)
    assert rows == local[1]


@pytest.mark.usefixtures("ray_session")
def test_ray_gives_the_rows_of_the_local_runner(local, image_folder, prompt_folder, tmp_path):
    settings = (
        *("runtime.batch_size=3", "runtime.block_rows=5"),
        *("runtime.part_rows=2", "runtime.actors=2"),
    )
    prompts = str(prompt_folder)  # Ray describes them, too
    out = tmp_path / "run"
    run, rows = finished(image_folder, out, engine="ray", settings=settings, prompts=prompts)
    assert rows == local[1]
    between = [s for s in run.metrics["stages"] if s["stage"] != "segment"]
    assert [s["stage"] for s in between] == ["read", "match", "points"]
    assert all(s["rows"] == 7 for s in run.metrics["stages"])
    assert all(s["bytes_per_row"] < 100_000 for s in between)
