"""The local runner and Ray give identical rows, however the work is cut up."""

import pytest

from ipseg.config import load_config
from pipeline.parts import read_rows
from pipeline.run import Request, segment


def finished(images, prompts, out, *, engine="ray", settings=(), **more):
    config = load_config("classical", settings)
    run = segment(
        Request(str(images), str(out), config, prompts=str(prompts), engine=engine, **more)
    )
    rows = {row["key"]: row for row in read_rows(str(out))}
    assert sum(run.counts.values()) == len(rows)
    for row in rows.values():
        del row["run_id"]
    return run, rows


@pytest.fixture(scope="module")
def local(image_folder, prompt_folder, tmp_path_factory):
    return finished(image_folder, prompt_folder, tmp_path_factory.mktemp("local"), engine="local")


def test_local_run_finds_the_concepts_and_keeps_the_broken_file(local):
    run, rows = local
    assert run.counts == {"ok": 6, "empty": 0, "skipped": 0, "failed": 1, "poisoned": 0}
    assert rows["broken.jpg"]["row_status"] == "failed"
    assert rows["broken.jpg"]["error_stage"] == "decode"
    assert rows["broken.jpg"]["objects"] == []
    scores = {
        key: {item["concept"]: item["score"] for item in row["objects"]}
        for key, row in rows.items()
    }
    assert scores["cup-flipped.jpg"]["cup"] > scores["rocket.jpg"]["cup"]
    assert scores["deep/cat-crop.jpg"]["cat"] > scores["rocket.jpg"]["cat"]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("runtime.batch_size=1", "runtime.block_rows=1", "runtime.part_rows=2"),
        ("runtime.batch_size=3", "runtime.block_rows=5", "runtime.actors=2"),
    ],
)
@pytest.mark.usefixtures("ray_session")
def test_ray_gives_the_rows_of_the_local_runner(
    local, image_folder, prompt_folder, tmp_path, settings
):
    _, expected = local
    run, rows = finished(image_folder, prompt_folder, tmp_path / "run", settings=settings)
    assert rows == expected
    between = [s for s in run.metrics["stages"] if s["stage"] != "segment"]
    assert [s["stage"] for s in between] == ["read", "match", "points"]
    assert all(s["rows"] == 7 for s in run.metrics["stages"])
    assert all(s["bytes_per_row"] < 100_000 for s in between)


@pytest.mark.usefixtures("ray_session")
def test_a_saved_bank_gives_the_same_rows(local, image_folder, tmp_path):
    run, expected = local
    config = load_config("classical")
    segment(
        Request(
            str(image_folder),
            str(tmp_path / "again"),
            config,
            prompt_bank=f"{run.out}/prompt_bank.parquet",
        )
    )
    rows = {row["key"]: row for row in read_rows(str(tmp_path / "again"))}
    for row in rows.values():
        del row["run_id"]
    assert rows == expected
