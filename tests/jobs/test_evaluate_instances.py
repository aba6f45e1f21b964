"""COCO-NOVEL in miniature through the command: the average precision is that of pycocotools."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ipseg.benchmarks.datasets.coco_novel import NOVEL

SIZE = (48, 64)
TINT = str(Path(__file__).parents[1] / "pipeline/tint.yaml")
# Image -> category -> box: one object of a class, for the method finds no more.
TEST = {
    1: {1: (4, 4, 24, 30), 18: (34, 10, 60, 40)},
    2: {1: (20, 8, 50, 44)},
    3: {18: (6, 20, 30, 46), 72: (38, 2, 62, 22)},
}


def annotation(number, image, category, box, shift=0):
    x0, y0, x1, y1 = box
    corners = [x0, y0, x1 + shift, y0, x1 + shift, y1, x0, y1]
    return {
        **{"id": number, "image_id": image, "category_id": category, "iscrowd": 0},
        **{"segmentation": [list(map(float, corners))], "bbox": [x0, y0, x1 - x0, y1 - y0]},
        "area": float((x1 - x0) * (y1 - y0)),
    }


def entry(number, side):
    name = f"COCO_{side}2014_{number:012}.jpg"
    return {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}


@pytest.fixture
def root(tmp_path, painted):
    """Five test images and two seeds; the first one lies where TFA has it."""
    base = tmp_path / "datasets"
    categories = [{"id": number, "name": name} for number, name in NOVEL.items()]
    (base / "cocosplit/datasplit").mkdir(parents=True)
    for number, boxes in TEST.items():
        painted(base / f"coco/val2014/{entry(number, 'val')['file_name']}", boxes)
    # Outlines that are somewhat off, so that masks count at some overlaps and not at others.
    truth = [
        annotation(10 * image + place, image, category, box, shift=3 * place)
        for image, boxes in TEST.items()
        for place, (category, box) in enumerate(boxes.items())
    ]
    truth.append(annotation(99, 2, 3, (0, 0, 10, 10)))  # a car that is painted nowhere
    truth.append(annotation(98, 2, 8, (0, 0, 10, 10)))  # of a class that is not tested
    content = {"images": [entry(n, "val") for n in TEST], "annotations": truth}
    file = base / "cocosplit/datasplit/5k.json"
    file.write_text(json.dumps(content | {"categories": categories}))
    for seed, folder in enumerate(("", "seed1")):
        (base / "cocosplit" / folder).mkdir(exist_ok=True)
        for number, name in NOVEL.items():
            image = 100 * (seed + 1) + number
            box = (10, 8, 40 + 8 * seed, 40)
            painted(base / f"coco/train2014/{entry(image, 'train')['file_name']}", {number: box})
            shots = [annotation(image, image, number, box), annotation(0, image, 2, box)]
            listed = {"images": [entry(image, "train")], "annotations": shots[: 1 + (number != 2)]}
            path = base / "cocosplit" / folder / f"full_box_1shot_{name}_trainval.json"
            path.write_text(json.dumps(listed | {"categories": categories}))
    return tmp_path


@pytest.fixture
def words(root, tmp_path):
    words = ["evaluate", "coco-novel", "--data-root", root, "--out", tmp_path / "out"]
    return [*words, "--profile", TINT, "--engine", "local", "--fold", "seed0", "--fold", "seed1"]


def by_pycocotools(root, out, kind):
    """AP of a run folder, with nothing of ours."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(root / "datasets/cocosplit/datasplit/5k.json"))
        ids = {name: number for number, name in NOVEL.items()}
        results = []
        for part in out.glob("data/shard=*/part-*.parquet"):
            for row in pq.read_table(part, partitioning=None).to_pylist():
                image = int(row["key"][-16:-4])
                for each in row["objects"]:
                    about = {"image_id": image, "category_id": ids[each["concept"]]}
                    compared = {"segm": "segmentation", "bbox": "bbox"}[kind]
                    results.append(about | {n: each[n] for n in ("score", compared)})
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.catIds = list(NOVEL)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3]


def test_average_precision_is_that_of_pycocotools_for_each_seed(root, words, tmp_path, ipseg):
    code, text, _ = ipseg(*words, "--json")
    assert code == 0
    data = json.loads(text)
    assert data == json.loads((tmp_path / "out/instances.json").read_text())
    (variant,) = data["variants"]
    for formula, kind in (("mask AP", "segm"), ("box AP", "bbox")):
        number = variant["numbers"][formula]
        expected = [by_pycocotools(root, tmp_path / "out" / f"seed{n}", kind) for n in (0, 1)]
        for seed, values in zip(("seed0", "seed1"), expected, strict=True):
            found = [number["folds"][seed][name] for name in ("ap", "ap50", "ap75")]
            assert found == pytest.approx(values, abs=1e-6)
        mean = [number[name] for name in ("ap", "ap50", "ap75")]
        assert mean == pytest.approx(np.mean(expected, axis=0), abs=1e-9)
        assert 0.05 < number["ap"] < 0.9
    reasons = {c["reason"] for c in variant["comparisons"] if c["method"] == "SINE"}
    assert reasons == {"other folds: only the mean over all of them is known"}
    assert all("BGR" in c["note"] for c in variant["comparisons"] if c["method"] == "SINE")
    assert data["left_out"] == {"seed0": {"": {}}, "seed1": {"": {}}}


def test_what_makes_a_number_less_than_the_benchmarks_is_said(root, words, ipseg):
    file = next(root.glob("datasets/coco/val2014/*2.jpg"))
    file.write_bytes(b"no image")
    code, text, _ = ipseg(*words, "--limit", "2")
    assert code == 3
    assert "only 2 of 3 images" in text
    assert "PARTIAL: seed0: 1 image failed" in text


def test_a_reference_of_no_use_leaves_its_class_out_and_says_so(root, words, ipseg):
    next(root.glob("datasets/coco/train2014/*172.jpg")).write_bytes(b"no image")
    code, text, _ = ipseg(*words)
    assert code == 3
    assert "PARTIAL: seed0: 'tv' was not looked for:" in text
    assert "seed1: 'tv'" not in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--table", "4"], "coco-novel has no --table"),
        (["--fold", "seed10"], "coco-novel has no fold 'seed10'"),
        (["--shot", "5"], r"full_box_5shot_person_trainval.json is missing"),
        (["--set", "method=tint:TintInSequences"], "is of images, not of videos"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(words, ipseg, more, message):
    code, _, err = ipseg(*words, *more)
    assert code != 0
    assert message in err


def test_a_missing_image_is_named(root, words, ipseg):
    next(root.glob("datasets/coco/val2014/*3.jpg")).unlink()
    code, _, err = ipseg(*words)
    assert code == 1
    assert "coco/val2014/COCO_val2014_000000000003.jpg is missing" in err
