"""`ipseg data`: what there is, and what is built from official annotation files."""

import json

import numpy as np
import pytest
from PIL import Image

from ipseg.components import BENCHMARKS, INSTANCE_BENCHMARKS
from jobs.demo.crowds import crowd
from jobs.reading import Reading


def test_every_benchmark_is_listed_with_its_layout_and_rules(ipseg):
    code, out, _ = ipseg("data", "list")
    assert code == 0
    everything = [*BENCHMARKS, *INSTANCE_BENCHMARKS]
    for text in (*everything, "ROOT/images/<class>/NAME.jpg", "rule largest-of-6", "formula JF"):
        assert text in out
    code, out, _ = ipseg("data", "list", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert code == 0
    assert list(listed) == everything
    assert listed["coco-20i"]["folds"] == ["0", "1", "2", "3"]
    assert "prompt-set" in listed["fss-1000"]["rules"]
    assert listed["davis-2017"]["protocol"]["boundaries"] is True
    assert {name for name, each in listed.items() if each["prepare"]} == {
        "coco-20i",
        "lvis-92i",
        "paco-part",
        "pascal-part",
    }


@pytest.mark.parametrize(
    ("name", "folder"), [("lvis-92i", "LVIS"), ("paco-part", "PACO-Part/paco")]
)
def test_what_is_prepared_is_said_and_can_be_used(miniatures, tmp_path, ipseg, name, folder):
    root, out = tmp_path / "data", tmp_path / "kept"
    miniatures[name](root)
    code, text, _ = ipseg("data", "prepare", name, "--data-root", root, "--json")
    (file,) = json.loads(text)["written"]
    assert code == 0
    assert file.startswith(f"{root}/{folder}")
    code, text, _ = ipseg("data", "prepare", name, "--data-root", root, "--out", out)
    assert code == 0
    assert f"wrote {out}" in text.replace("\n", "")


def test_what_was_prepared_before_is_not_written_again(tmp_path, ipseg):
    annotations = tmp_path / "annotations/instances_val2014.json"
    annotations.parent.mkdir()
    (tmp_path / "val2014").mkdir()
    photo = "COCO_val2014_000000000001.jpg"
    Image.new("RGB", (12, 10)).save(tmp_path / "val2014" / photo)
    from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES

    gaps = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    ids = [n for n in range(1, 91) if n not in gaps]
    square = [[1.0, 1.0, 6.0, 1.0, 6.0, 6.0, 1.0, 6.0]]
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square}
    content = {
        "images": [{"id": 1, "file_name": photo, "height": 10, "width": 12}],
        "annotations": [entry | {"iscrowd": 0, "area": 25.0}],
        "categories": [{"id": n, "name": c} for n, c in zip(ids, COCO_CLASSES, strict=True)],
    }
    annotations.write_text(json.dumps(content))
    code, text, err = ipseg("data", "prepare", "coco-20i", "--data-root", tmp_path)
    assert (code, err) == (0, "")
    assert "wrote 5 files" in text
    assert "annotations/val2014/  1" in text
    code, text, _ = ipseg("data", "prepare", "coco-20i", "--data-root", tmp_path)
    assert code == 0


def test_wrong_calls_say_what_would_be_right(tmp_path, ipseg):
    code, _, err = ipseg("data", "prepare", "folder", "--data-root", "x")
    assert code == 2
    assert "nothing has to be prepared for folder" in err
    code, _, err = ipseg("data", "prepare", "coco20i", "--data-root", "x")
    assert code == 2
    assert "did you mean 'coco-20i'?" in err
    code, _, err = ipseg("data", "prepare", "coco-20i", "--data-root", tmp_path)
    assert code == 1
    assert "annotations/instances_val2014.json" in err
    assert ipseg("data", "prepare", "coco-20i")[0] == 2
    assert "ipseg data prepare coco-20i --data-root" in ipseg("data", "--help")[1]


def test_reading_that_takes_long_is_reported_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr("jobs.reading.PATIENCE_SECONDS", 0.0)
    with caplog.at_level("INFO", "ipseg"), Reading("reading maps") as reading:
        for done in range(1, 5):
            reading(done, 4)
    assert [record.message for record in caplog.records] == ["reading maps: 25 %"]
    caplog.clear()
    monkeypatch.setattr("jobs.reading.PATIENCE_SECONDS", 60.0)
    with caplog.at_level("INFO", "ipseg"), Reading("reading maps") as reading:
        reading(1, 4)
    assert not caplog.records


def test_crowds_are_generated_with_a_number_for_each_instance(ipseg, tmp_path):
    code, text, _ = ipseg("data", "generate", "--out", tmp_path, "--images", "1", "--json")
    assert code == 0
    roots = [tmp_path / "generated", tmp_path / "coins"]
    assert json.loads(text) == {"written": [str(root) for root in roots]}
    numbers = [np.asarray(Image.open(next(r.glob("masks/*/*.png")))) for r in roots]
    assert np.unique(numbers[1]).tolist() == list(range(25))
    assert 10 < len(np.unique(numbers[0])) <= 81
    for root in roots:
        assert len(list(root.glob("prompts/*/1.mask.png"))) == 1
    before = next(roots[0].glob("images/*/*.png")).read_bytes()
    assert ipseg("data", "generate", "--out", tmp_path, "--images", "1")[0] == 0
    assert next(roots[0].glob("images/*/*.png")).read_bytes() == before
    (roots[0] / "images" / "other").mkdir()
    (roots[0] / "images" / "other" / "011.png").write_bytes(before)
    code, _, said = ipseg("data", "generate", "--out", tmp_path, "--images", "1")
    assert code == 1
    assert "generated holds 1 images of an earlier call" in " ".join(said.split())


def test_copies_are_turned_and_mirrored_if_that_is_wanted(ipseg, tmp_path):
    code, text, _ = ipseg("data", "generate", "--out", tmp_path, "--images", "1", "--turned")
    assert (code, f"written: {tmp_path / 'turned'}" in text) == (0, True)
    assert not (tmp_path / "generated").exists()
    made = crowd(0, turned=True)
    assert np.array_equal(np.unique(made.numbers), np.arange(len(made.boxes) + 1))
    sides = made.boxes[:, 2:] - made.boxes[:, :2]
    ratios = sides[:, 0] / sides[:, 1]
    assert ratios.min() < 0.9
    assert ratios.max() > 1.1
