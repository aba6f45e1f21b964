"""Generated images with several copies of an object, and how many of them are found."""

from collections import Counter

import numpy as np
import pytest

import ipseg
from ipseg.metrics.coco_ap import AveragePrecision
from jobs.bench.instances import average_precision, find_coins, measure
from jobs.demo import scenes
from jobs.demo.coins import COINS, coin_prompt, coins
from jobs.demo.copies import MOST_COPIES, copies, demo_prompts
from jobs.demo.photos import concepts

IMAGES = 12


@pytest.fixture(scope="module")
def made():
    return list(copies(IMAGES, seed=1))


def test_each_number_of_copies_is_as_frequent_and_every_concept_occurs(made):
    counts = Counter(max(len(masks) for masks in each.instances.values()) for each in made)
    assert counts == dict.fromkeys(range(1, MOST_COPIES + 1), IMAGES // MOST_COPIES)
    assert {name for each in made for name in each.instances} == set(concepts())
    assert any(each.touching for each in made)
    assert any(len(each.instances) > 1 for each in made), "with an object of another concept"


def test_copies_are_visible_and_apart(made):
    for each in made:
        masks = [mask for own in each.instances.values() for mask in own]
        assert np.sum(masks, axis=0).max() == 1
        assert min(mask.mean() for mask in masks) >= scenes.LEAST_SHARE * 0.95
        assert all(mask.shape == each.image.shape[:2] for mask in masks)


def test_the_same_seed_gives_the_same_images(made):
    again = list(copies(3, seed=1))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again, made, strict=False))
    assert not np.array_equal(next(copies(1, seed=2)).image, made[0].image)


@pytest.fixture(scope="module")
def found(made):
    """What `each` finds in all images, and `one` in a few of several copies."""
    results = {}
    for mode, images in (("each", made), ("one", made[3:6])):
        model = ipseg.load("classical", [f"instances.mode={mode}"])
        model.set_prompts(demo_prompts())
        results[mode] = measure(model, images)
    return results


def test_most_instances_are_found_with_each_and_few_with_one(made, found):
    one, each = found["one"], found["each"]
    assert each.instances == sum(len(m) for c in made for m in c.instances.values())
    assert each.suggested_recall >= 0.75
    assert each.suggested_precision >= 0.85
    assert each.best_recall >= 0.75
    assert each.best_precision >= 0.85
    assert each.ap50 > 3 * one.ap50
    assert one.best_recall < 0.3, "it takes all copies for one object"


def test_concepts_have_thresholds_of_their_own_and_add_up(found):
    one = found["one"]
    own = one.concepts.values()
    assert set(one.concepts) == set(concepts())
    assert sum(each.instances for each in own) == one.instances
    assert sum(each.found for each in own) == one.found
    right = sum(each.recall * each.instances for each in own)
    assert right == pytest.approx(one.suggested_recall * one.instances)
    absent = [each for each in own if not each.instances]
    assert absent
    assert all(each.threshold is None for each in absent), "so that none of it counts"


def test_coins_are_found_from_one_of_them():
    right, false = find_coins(ipseg.load("classical"))
    assert right >= 20
    assert false <= 2


def test_the_prompt_of_a_coin_is_the_coin_with_a_margin():
    image, masks = coins()
    assert len(masks) == COINS
    for mask in masks:
        prompt = coin_prompt(image, mask)
        assert prompt.mask.sum() == mask.sum()
        assert prompt.image.shape[:2] == prompt.mask.shape
        assert prompt.mask.shape[0] < image.shape[0] / 3


def test_average_precision_of_what_is_true_is_one(made):
    from ipseg.objects import Object

    pairs = []
    for number, each in enumerate(made, start=1):
        for name, masks in each.instances.items():
            objects = [Object.of(name, 1, mask, 0.5) for mask in masks]
            truth = [found.segmentation for found in objects]
            pairs.append((number, each.image.shape[:2], name, objects, truth))
    assert average_precision(pairs) == AveragePrecision(*[pytest.approx(1.0)] * 3)
    without = [(n, s, c, (), t) for n, s, c, _, t in pairs]
    assert average_precision(without) == AveragePrecision(0.0, 0.0, 0.0)
