"""Forty instances of a concept, and sequences of thirty frames: none of them is lost."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import ipseg
from ipseg.config import load_config
from ipseg.objects import Object
from ipseg.vision.images import encode_png
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment

FRAMES = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two sequences, two prompts, and a profile for each method."""
    root = tmp_path_factory.mktemp("many")
    for name in ("a", "b"):
        (root / "videos" / name).mkdir(parents=True)
        for number in range(FRAMES):
            pixels = np.full((48, 64, 3), 8 * number, np.uint8)
            (root / "videos" / name / f"{number}.png").write_bytes(encode_png(pixels))
    (root / "prompts").mkdir()
    for name in ("cup", "hat"):
        (root / "prompts" / f"{name}.png").write_bytes(encode_png(pixels))
    (root / "many.py").write_text((Path(__file__).parent / "many.py").read_text())
    for name in ("Instances", "Video"):
        (root / f"{name}.yaml").write_text(f"method: many:{name}\nsupport: none\n")
    return root


def run(data, name, out, engine="local"):
    request = Request(
        str(data / "videos"),
        str(out),
        load_config(str(data / f"{name}.yaml")),
        prompts=str(data / "prompts"),
        engine=engine,
    )
    assert segment(request).counts["ok"]
    rows = {row["key"]: row for row in read_rows(str(out))}
    for row in rows.values():
        row["objects"] = [Object.from_record(each) for each in row["objects"]]
    return rows


def test_forty_instances_come_back_and_are_drawn(data, tmp_path, command):
    rows = run(data, "Instances", tmp_path)
    assert len(rows) == 2 * FRAMES
    for row in rows.values():
        places = Counter((o.concept, o.instance) for o in row["objects"])
        assert places == {(name, n): 1 for name in ("cup", "hat") for n in range(40)}
        assert all(each.mask.sum() == each.area for each in row["objects"][:3])
    assert command("report", tmp_path) == 0
    assert command("show", tmp_path, "a/3.png", "--out", tmp_path / "drawn.png") == 0
    model = ipseg.load(str(data / "Instances.yaml"))
    model.set_prompts(data / "prompts")
    assert len(model.segment(data / "videos/a/3.png").objects) == 80


def test_sequences_come_back_frame_by_frame(data, tmp_path, command):
    rows = run(data, "Video", tmp_path)
    assert list(rows) == ["a", "b"]
    for row in rows.values():
        places = Counter((o.concept, o.frame, o.instance) for o in row["objects"])
        expected = [(c, f, n) for c in ("cup", "hat") for f in range(FRAMES) for n in range(3)]
        assert places == dict.fromkeys(expected, 1)
        # Natural order of names: frame 10 is not the third.
        lefts = {o.frame: o.bbox[0] for o in row["objects"] if o.instance == 0}
        assert lefts == {frame: frame % 3 for frame in range(FRAMES)}
    assert command("report", tmp_path) == 0
    assert command("show", tmp_path, "a", "--frame", 7, "--out", tmp_path / "drawn.png") == 0
    model = ipseg.load(str(data / "Video.yaml"))
    model.set_prompts(data / "prompts")
    found = model.segment_sequence([data / f"videos/a/{n}.png" for n in range(FRAMES)])
    assert len(found.objects) == 2 * 3 * FRAMES
    assert found.overlay(frame=3).shape == (48, 64, 3)


def test_on_ray_both_give_what_they_give_here(ray_session, data, tmp_path):
    for name in ("Instances", "Video"):
        here = run(data, name, tmp_path / name)
        there = run(data, name, tmp_path / f"{name}-ray", "ray")
        assert {k: row["objects"] for k, row in there.items()} == {
            k: row["objects"] for k, row in here.items()
        }


def test_episodes_of_a_video_are_judged_frame_by_frame(data, miniatures, tmp_path, command):
    miniatures["davis-2017"](tmp_path / "davis")
    out = tmp_path / "out"
    words = ("--profile", data / "Video.yaml", "--engine", "local", "--set", "images.min_side=8")
    assert (
        command("evaluate", "davis-2017", "--data-root", tmp_path / "davis", "--out", out, *words)
        == 0
    )
    results = pq.read_table(out / "results.parquet").to_pylist()
    assert len(results) == 4, "two frames, each with two objects"
    assert {result["status"] for result in results} == {"ok"}
    stages = json.loads((out / "evaluation.json").read_text())["stages"]
    assert {s["stage"]: s["rows"] for s in stages}["find"] == 1, "one sequence"
