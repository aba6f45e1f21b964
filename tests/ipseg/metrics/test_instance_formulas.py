"""Formulas over instances: by hand, and COCO's own evaluation."""

import numpy as np
import pytest

from ipseg.metrics import Region, interval, measure
from ipseg.metrics.instances import against_instances, instances_of
from ipseg.objects import Object
from jobs.bench.instances import average_precision

SIDE = 60
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pyco.*")


def squares(random, number):
    """(SIDE, SIDE) with a square of 10 pixels for each number from 1 on, none touching."""
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    for value, place in enumerate(random.permutation(25)[:number], start=1):
        y, x = divmod(int(place), 5)
        numbers[12 * y : 12 * y + 10, 12 * x : 12 * x + 10] = value
    return numbers


def nearly(random, mask):
    """A mask moved and cut by up to four pixels."""
    moved = np.roll(mask, random.integers(-3, 4, 2), axis=(0, 1))
    moved[: random.integers(0, SIDE // 2)] &= random.random() < 0.8
    return moved


@pytest.fixture(scope="module")
def images():
    """(class, objects, instances) of 14 images: some found well, some badly, some twice."""
    random = np.random.default_rng(4)
    made = []
    for image in range(14):
        truth = instances_of(squares(random, int(random.integers(0, 12))))
        found = [
            Object("thing", 1, each, float(random.random()))
            for each in instances_of(squares(random, 3))
        ]
        for each in truth:
            mask = nearly(random, Object("thing", 1, each, 1.0).mask)
            if mask.any():
                found.append(Object.of("thing", 1, mask, float(random.random())))
        made.append((image % 2, found, truth))
    return made


def results(table, images):
    rows = []
    for class_id, found, truth in images:
        scores = [each.score for each in found]
        masks = [each.segmentation for each in found]
        counted = against_instances(scores, masks, [s >= 0.3 for s in scores], truth)
        rows.append((class_id, Region(1, 0, 0, 0, 0), None, counted))
    return table(rows)


def test_average_precision_is_that_of_coco(table, images):
    pairs = [
        (number, (SIDE, SIDE), f"class {class_id}", found, truth)
        for number, (class_id, found, truth) in enumerate(images, start=1)
    ]
    precision = average_precision(pairs)
    expected = (precision.ap, precision.ap50)
    found = [measure(formula, results(table, images), [0, 1]) for formula in ("AP", "AP50")]
    assert 0.05 < expected[0] < expected[1] < 0.95
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    low, high = interval("AP", results(table, images), [0, 1], samples=100)
    assert low < found[0] < high


def test_f1_and_count_error_by_hand(table, images):
    there = np.array([len(truth) for _, _, truth in images])
    number = np.array([sum(each.score >= 0.3 for each in found) for _, found, _ in images])
    listed = results(table, images)
    matched = np.array(listed["instances_matched"])
    assert listed["instances"].to_pylist() == there.tolist()
    assert listed["instances_found"].to_pylist() == number.tolist()
    assert (matched <= np.minimum(there, number)).all()
    f1 = 2 * matched.sum() / (there.sum() + number.sum())
    assert measure("F1", listed, [0, 1]) == pytest.approx(f1)
    some = there > 0
    error = np.mean(np.abs(number - there)[some] / there[some])
    assert measure("N", listed, [0, 1]) == pytest.approx(error)


def test_images_without_an_instance(table):
    nothing = against_instances([], [], [], [])
    empty = table([(0, Region(1, 0, 0, 0, 0), None, nothing)])
    values = {formula: measure(formula, empty, [0]) for formula in ("F1", "N", "AP", "AP50")}
    assert values == {"F1": 1.0, "N": None, "AP": None, "AP50": None}
