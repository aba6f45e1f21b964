"""COCO's average precision, against a restatement of it and against plain pycocotools."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ipseg.metrics.coco_ap import KINDS, AveragePrecision, coco_ap
from ipseg.objects import Object
from ipseg.vision.masks import encode_rle

SIZE = (40, 60)
CATEGORIES = {1: "cup", 2: "cat", 3: "hat"}  # nothing is a hat
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def rectangle(x, y, width, height):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


@pytest.fixture(scope="module")
def scene():
    """Ground truth of six images, and objects: shifted, twice, of the wrong class, from nowhere."""
    rng = np.random.default_rng(3)
    truth, objects = [], []
    for image in range(1, 7):
        for category in (1, 2):
            for _ in range(rng.integers(0, 4)):
                x, y = int(rng.integers(0, 40)), int(rng.integers(0, 20))
                truth.append((image, category, rectangle(x, y, 16, 14)))
                for _ in range(rng.integers(1, 3)):
                    dx, dy = rng.integers(0, 3, 2)
                    found = rectangle(x + dx, y + dy, 16, 14)
                    label = int(rng.choice([category] * 5 + [3 - category]))
                    objects.append((image, label, found, float(rng.uniform(0.2, 1))))
        objects.append((image, 1, rectangle(2, 2, 9, 9), float(rng.uniform(0, 0.5))))
    return truth, objects


@pytest.fixture(scope="module")
def files(scene):
    """As in COCO's files: the ground truth, and results."""
    truth, objects = scene
    annotations = [
        {
            **{"id": number, "image_id": image, "category_id": category, "iscrowd": 0},
            **{"segmentation": encode_rle(mask), "area": float(mask.sum())},
            "bbox": Object.of("", category, mask, 1.0).bbox,
        }
        for number, (image, category, mask) in enumerate(truth, start=1)
    ]
    images = [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(1, 7)]
    categories = [{"id": n, "name": name} for n, name in CATEGORIES.items()]
    found = []
    for image, label, mask, score in objects:
        each = Object.of(CATEGORIES[label], label, mask, score)
        found.append(
            {"image_id": image, "category_id": label, "score": score}
            | {"segmentation": each.segmentation, "bbox": each.bbox}
        )
    return {"images": images, "annotations": annotations, "categories": categories}, found


def precision_at(scene, least, overlap):
    """Mean over classes of the area below the precision, at 101 recalls."""
    truth, objects = scene
    values = []
    for category in (1, 2):
        hits, scores, total = [], [], 0
        for image in range(1, 7):
            known = [t[2] for t in truth if t[:2] == (image, category)]
            total += len(known)
            free = set(range(len(known)))
            mine = sorted((o for o in objects if o[:2] == (image, category)), key=lambda o: -o[3])
            for _, _, mask, score in mine:
                best = max(free, key=lambda n: overlap(mask, known[n]), default=None)
                hit = best is not None and overlap(mask, known[best]) >= least
                free -= {best} if hit else set()
                hits.append(hit)
                scores.append(score)
        order = np.argsort(-np.array(scores), kind="stable")
        right = np.cumsum(np.array(hits)[order])
        precision = right / np.arange(1, len(order) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(right / total, np.linspace(0, 1, 101), side="left")
        values.append(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())
    return np.mean(values)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_it_is_the_area_below_precision_over_recall(scene, files):
    found = coco_ap(*files, "mask AP")
    expected = {least: precision_at(scene, least, iou) for least in THRESHOLDS}
    assert 0.1 < found.ap < found.ap50 < 1
    assert found.ap == pytest.approx(np.mean([*expected.values()]), abs=1e-6)
    assert found.ap50 == pytest.approx(expected[0.5], abs=1e-6)
    assert found.ap75 == pytest.approx(precision_at(scene, 0.75, iou), abs=1e-6)


@pytest.mark.parametrize("formula", KINDS)
def test_it_is_that_of_pycocotools_on_the_same_files(files, tmp_path, formula):
    truth, results = files
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    kept = {"mask AP": "segmentation", "box AP": "bbox"}[formula]
    names = ("image_id", "category_id", "score", kept)
    (tmp_path / "found.json").write_text(json.dumps([{n: r[n] for n in names} for r in results]))
    known = COCO(str(tmp_path / "truth.json"))
    found = known.loadRes(str(tmp_path / "found.json"))
    evaluation = COCOeval(known, found, KINDS[formula])
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = AveragePrecision(*(pytest.approx(v, abs=1e-6) for v in evaluation.stats[:3]))
    assert coco_ap(truth, results, formula) == expected


def test_what_is_given_stays_as_it_is_and_crowds_count_for_nothing(files):
    truth, results = files
    before = json.dumps([truth, results])
    plain = coco_ap(truth, results, "mask AP")
    assert json.dumps([truth, results]) == before
    everywhere = np.ones(SIZE, bool)
    crowd = truth["annotations"][0] | {"id": 99, "image_id": 1, "category_id": 1, "iscrowd": 1}
    crowd |= {"segmentation": encode_rle(everywhere), "area": float(everywhere.sum())}
    forgiving = coco_ap(truth | {"annotations": [*truth["annotations"], crowd]}, results, "mask AP")
    assert forgiving.ap >= plain.ap, "what lies in a crowd is no mistake"


def test_nothing_found_is_zero_and_nothing_to_be_found_is_refused(files):
    truth, results = files
    assert coco_ap(truth, [], "box AP") == AveragePrecision(0, 0, 0)
    with pytest.raises(ValueError, match="no instance"):
        coco_ap(truth | {"annotations": []}, results, "mask AP")


def test_boxes_are_those_of_the_masks(files):
    _, results = files
    for each in results:
        assert each["bbox"] == coco.toBbox(each["segmentation"]).tolist()
