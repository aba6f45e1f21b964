"""Thresholds from shapes of scores: modes that are there are found, chance and skew are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.objects import CONVINCING
from ipseg.scores.histogram import BINS, EDGES, count_scores, number_from, rebinned
from ipseg.scores.modes import valley
from ipseg.scores.suggestion import suggest_threshold, suggestion

SIZES = (10, 30, 100, 1000, 100_000)
ABSENT = {
    "crowd at 0": lambda draw, n: draw.beta(1, 24, n),
    "up to 0.4": lambda draw, n: draw.uniform(0, 0.4, n),
    "bell": lambda draw, n: draw.normal(0.25, 0.05, n),
}
# Of methods whose scores are high whether the concept is there or not.
ONE_MODE = {
    "bell": lambda draw, n: draw.normal(0.75, 0.07, n),
    "skew": lambda draw, n: draw.beta(14, 2, n),
    "wide": lambda draw, n: draw.uniform(0.5, 1.0, n),
    "crowd at 1": lambda draw, n: 1 - draw.beta(1, 8, n),
}


def drawn(shape, n, seed):
    return np.clip(shape(np.random.default_rng([seed, n]), n), 0, 1)


def mixed(absent, n, share, seed, present=(0.78, 0.08)):
    draw = np.random.default_rng([seed, n, 1])
    number = max(3, round(share * n))
    there = np.clip(draw.normal(*present, number), 0, 1)
    return drawn(absent, n - number, seed), there


@given(st.lists(st.floats(0, 1, width=32), max_size=40), st.integers(0, BINS))
def test_counts_agree_with_python(scores, edge):
    counts = count_scores(scores)
    assert counts.sum() == len(scores)
    if edge < BINS:  # 1 has no bin of its own
        assert number_from(counts, EDGES[edge]) == sum(each >= EDGES[edge] for each in scores)
    assert rebinned(counts, 20).sum() == len(scores)


def test_scores_that_are_none_go_to_an_end():
    counts = count_scores([np.nan, -1.0, 2.0])
    assert (counts[0], counts[-1]) == (2, 1)


@pytest.mark.parametrize("absent", ABSENT)
@pytest.mark.parametrize("n", SIZES)
def test_an_absent_concept_is_not_convincing(absent, n):
    for seed in range(20):
        assert suggest_threshold(count_scores(drawn(ABSENT[absent], n, seed)))[0] is None


@pytest.mark.parametrize("shape", ONE_MODE)
def test_one_mode_above_is_not_split(shape):
    split = 0
    for n in SIZES:
        for seed in range(20 if n < 1000 else 3):
            counts = count_scores(drawn(ONE_MODE[shape], n, seed))
            threshold, why = suggest_threshold(counts)
            split += why == "two modes"
            if why == "all of them":
                assert number_from(counts, threshold) >= 0.9 * n
    assert split <= 8, "of 66, of 100 and fewer scores"


@pytest.mark.parametrize("absent", ABSENT)
@pytest.mark.parametrize(
    ("n", "share", "modes"), [(60, 0.25, 7), (60, 0.15, 5), (1000, 0.1, 9), (100_000, 0.5, 10)]
)
def test_the_suggestion_parts_those_with_the_concept_from_those_without(absent, n, share, modes):
    found = 0
    for seed in range(10):
        without, there = mixed(ABSENT[absent], n, share, seed)
        counts = count_scores(np.concatenate([without, there]))
        threshold, why = suggest_threshold(counts)
        found += why == "two modes"
        assert np.mean(there >= threshold) >= 0.9
        assert np.mean(without >= threshold) <= 0.03
    assert found >= modes, "of 10; the plain threshold serves the others"


def test_the_threshold_is_in_the_middle_of_a_gap():
    found = valley(count_scores([0.1] * 20 + [0.2] * 20 + [0.8] * 10))
    assert 0.4 < found.at < 0.6
    assert (found.low < 0.2, found.high > 0.75) == (True, True)


def test_modes_below_what_is_convincing_are_none():
    scores = [0.01] * 30 + [0.3, 0.31, 0.32, 0.33] * 5
    assert valley(count_scores(scores)) is not None
    assert suggest_threshold(count_scores(scores)) == (None, "no image is convincing")


def test_few_scores_keep_the_plain_threshold():
    assert suggest_threshold(count_scores([0.1, 0.2, 0.9])) == (CONVINCING, "no second mode")
    assert suggest_threshold(count_scores([])) == (None, "no image is convincing")
    assert valley(count_scores([0.1] * 4 + [0.9] * 4)) is None


def test_one_that_lies_far_below_the_mode_is_left_out():
    scores = [*np.linspace(0.7, 0.9, 40), 0.05]
    threshold, why = suggest_threshold(count_scores(scores))
    assert (why, 0.05 < threshold <= CONVINCING) == ("all of them", True)


def test_images_and_objects_are_counted_at_the_threshold():
    objects = count_scores([0.1] * 20 + [0.8] * 12)
    best = count_scores([0.1] * 10 + [0.8] * 5)
    found = suggestion(objects, best, 40)
    assert (found.images, found.found, found.convincing) == (40, 15, 5)
    assert (found.objects, found.candidates) == (12, 32)
    nowhere = suggestion(count_scores([0.1] * 20), count_scores([0.1] * 20), 40)
    assert (nowhere.threshold, nowhere.convincing, nowhere.objects) == (None, 0, 0)
