"""Both engines give identical rows, however the work is cut up; a row may be a sequence."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ipseg.config import load_config
from ipseg.objects import Object
from jobs.report.write import write_report
from jobs.segment import print_run
from pipeline.engines.ray_engine import FEW_IN_DRIVER
from pipeline.runfolder.ignored import ignored_line
from pipeline.runfolder.parts import read_rows
from pipeline.runfolder.survey import survey_run
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")


def read_json(file):
    return json.loads(file.read_text())


def finished(images, out, *, engine, settings=(), **prompts):
    config = load_config(SMALL, settings)
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
def test_ray_gives_the_rows_of_the_local_engine(local, image_folder, prompt_folder, tmp_path):
    settings = (
        *("runtime.batch_size=3", "runtime.block_rows=5"),
        *("runtime.part_rows=2", "runtime.actors=2"),
    )
    out, prompts = tmp_path / "run", str(prompt_folder)
    run, rows = finished(image_folder, out, engine="ray", settings=settings, prompts=prompts)
    assert read_json(out / "manifest.json")["runs"][-1]["engine"] == "ray"
    assert read_json(out / "bank" / "manifest.json")["runs"][-1]["engine"] == "local", "few prompts"
    assert rows == local[1]
    stages = run.metrics["stages"]
    assert [s["stage"] for s in stages] == ["read", "match+points+segment"], "they share regions"
    assert all(s["rows"] == 7 and s["bytes_per_row"] < 100_000 for s in stages)


@pytest.mark.usefixtures("ray_session")
def test_many_prompts_are_described_by_ray_too(painted):
    for number in range(FEW_IN_DRIVER):
        painted.prompt("red", f"red/{number}")
    run, rows = painted.segment("ray", engine="ray")
    assert rows == painted.segment("local")[1]
    assert read_json(Path(run.out, "bank", "manifest.json"))["runs"][-1]["engine"] == "ray"


@pytest.fixture
def sequences(painted):
    """A walk of eleven frames with one red box and two blue ones, and a still one."""
    for number in range(1, 12):
        boxes = [("red", 2 * number, 2, 10, 10), ("blue", 2, 20, 8, 8), ("blue", 30, 20, 8, 12)]
        painted.image(f"walk/{number}.png", *boxes)
    painted.image("still/0.png", ("blue", 4, 4, 12, 12))
    for name in ("a.png", "b.png", "d.png", "e.png", "deep/c.png"):
        (painted.root / "images" / name).unlink()
    (painted.root / "images" / "deep").rmdir()
    return painted


def test_a_sequence_is_a_row_and_its_objects_know_frame_and_instance(sequences):
    run, rows = sequences.segment("run", "method=tint:TintInSequences")
    assert run.counts["ok"] == len(rows) == 2
    walk = rows["walk"]
    assert (walk["width"], walk["height"]) == (60, 40)
    found = [Object.from_record(record) for record in walk["objects"]]
    assert {(each.frame, each.concept, each.instance) for each in found} == {
        (frame, concept, instance)
        for frame in range(11)
        for concept, instance in (("red", 0), ("blue", 0), ("blue", 1))
    }
    red = {each.frame: each for each in found if each.concept == "red"}
    assert [red[frame].bbox for frame in range(11)] == [
        [2 * (frame + 1), 2, 10, 10] for frame in range(11)
    ], "1, 2, ... 10, 11, and not 1, 10, 11, 2"
    mask = np.zeros((40, 60), bool)
    mask[20:32, 30:38] = True
    (right,) = (o for o in found if (o.frame, o.concept, o.instance) == (10, "blue", 1))
    assert np.array_equal(right.mask, mask)
    (still,) = rows["still"]["objects"]
    assert (still["concept"], still["frame"]) == ("blue", 0)


def test_a_frame_that_cannot_be_read_fails_its_sequence_and_no_other(sequences):
    (sequences.root / "images" / "walk" / "3.png").write_text("no image")
    run, rows = sequences.segment("run", "method=tint:TintInSequences")
    assert run.counts == {"ok": 1, "empty": 0, "failed": 1, "poisoned": 0}
    assert "it starts with" in rows["walk"]["error_message"]
    assert rows["still"]["row_status"] == "ok"


def wide(rows):
    """Only objects that are wider than 8 pixels."""
    return [{**row, "objects": [o for o in row["objects"] if o.bbox[2] > 8]} for row in rows]


@pytest.mark.usefixtures("ray_session")
def test_sequences_and_steps_of_ones_own_run_on_ray_as_they_do_here(sequences):
    """A bank is given, so that only sequences go through Ray."""
    setting = "method=tint:TintInSequences"
    _, whole = sequences.segment("described", setting)
    given = {"bank": f"{sequences.root}/described", "steps": [wide]}
    _, local = sequences.segment("local", setting, **given)
    _, distributed = sequences.segment("ray", setting, **given, engine="ray")
    assert distributed == local
    kept = [each for each in whole["walk"]["objects"] if each["bbox"][2] > 8]
    assert local["walk"]["objects"] == kept != whole["walk"]["objects"]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_what_is_left_out_is_said(request, painted, capsys, engine):
    """In a tar this is only known when it was read; every way of looking at a run says it."""
    if engine == "ray":
        request.getfixturevalue("ray_session")
    images = painted.root / "images"
    with tarfile.open(images / "x.tar", "w") as tar:
        for name in ("a.png", "b.png"):
            tar.add(images / name, name)
            tar.add(images / name, f"{name[0]}.svg")
        tar.add(images / "a.png", "a.depth.png")
    for file in images.rglob("*.png"):
        file.rename(file.with_suffix(".txt"))
    run, rows = painted.segment("run", engine=engine)
    assert set(rows) == {"x.tar/a", "x.tar/b"}
    said = "8 files left out: 5 .txt, 2 .svg, 1 image beside another of its sample"
    print_run(run, as_json=False)
    assert said in capsys.readouterr().out.replace("\n", " ")
    assert ignored_line(survey_run(run.out).ignored) == said
    assert said in Path(write_report(run.out)).read_text()
    again, _ = painted.segment("run", engine=engine)
    assert again.metrics["ignored_files"] == run.metrics["ignored_files"], "it is not read again"
