import numpy as np
import pyarrow.compute as pc
import pytest

from ipseg.metrics import FORMULAS, Region, interval, interval_over_folds, measure
from ipseg.metrics.formulas import formula_of
from ipseg.metrics.table import episode_counts

OF_COUNTS = [n for n, f in FORMULAS.items() if "instance_scores" not in f.estimator.needs]


@pytest.mark.parametrize("formula", OF_COUNTS)
def test_an_interval_contains_the_value_and_shrinks_with_more_episodes(drawn, formula):
    widths = []
    for episodes, classes in ((150, 12), (2400, 192)):  # objects of video: more sequences
        results = drawn(episodes, classes)
        low, high = interval(formula, results, range(classes), samples=300)
        assert low <= measure(formula, results, range(classes)) <= high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


@pytest.mark.parametrize("formula", OF_COUNTS)
def test_an_interval_does_not_depend_on_the_order_of_rows(drawn, formula):
    results = drawn(60, 8)
    shuffled = results.take(np.random.default_rng(1).permutation(60))
    found = interval(formula, results, range(8), samples=50)
    assert interval(formula, shuffled, range(8), samples=50) == found
    assert interval(formula, shuffled, range(8), samples=50, seed=1) != found


@pytest.mark.parametrize("formula", ["A", "A'", "B", "C", "D", "P", "P.mAcc"])
def test_resampled_values_are_the_formula_over_the_resampled_rows(drawn, table, formula):
    results = drawn(30, 3).sort_by([("class_id", "ascending"), ("episode", "ascending")])
    estimator = formula_of(formula).estimator
    counts = episode_counts(formula, results, range(4))
    resampled = estimator.resampled(counts, 4, 20, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    for value in resampled:
        rows = results.take(rng.integers(30, size=30)).set_column(0, "episode", [range(30)])
        assert value == pytest.approx(measure(formula, rows, range(4)), abs=1e-12)


def test_videos_are_resampled_by_sequence(drawn, table):
    assert interval("J", drawn(40, 2), range(2)) is None  # two objects of one sequence
    results = drawn(80, 8)
    low, high = interval("JF", results, range(8), samples=2000, confidence=0.999)
    counts = episode_counts("JF", results, range(8))
    of_sequence = [
        measure("JF", results.filter(pc.equal(results["class_name"], name)), range(8))
        for name in counts.names
    ]
    # With eight objects in four sequences the extremes are one sequence four times.
    pairs = np.reshape(of_sequence, (4, 2)).mean(axis=1)
    assert (low, high) == pytest.approx((pairs.min(), pairs.max()), abs=0.02)


def test_a_class_missing_in_a_sample_does_not_lower_its_value(table):
    rows = [(c, Region(100, 5, 10, 10, 5), None, {}) for c in range(40)]
    assert interval("A", table(rows), range(40)) == pytest.approx((0.5, 0.5))
    assert interval("A", table(rows), range(80)) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("formula", ["A", "B", "C", "D"])
def test_one_episode_has_no_interval(table, formula):
    row = (0, Region(100, 5, 10, 10, 5), None, {})
    assert interval(formula, table([]), [0]) is None
    assert interval(formula, table([row]), [0]) is None
    assert interval(formula, table([row, row]), [0]) is not None


def test_a_higher_confidence_is_a_wider_interval(drawn):
    results = drawn(100, 5)
    narrow = interval("A", results, range(5), confidence=0.5)
    wide = interval("A", results, range(5), confidence=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    with pytest.raises(ValueError, match="confidence"):
        interval("A", results, range(5), confidence=95)
    with pytest.raises(ValueError, match="samples"):
        interval("A", results, range(5), samples=0)


def test_the_mean_of_folds_has_its_own_interval(drawn):
    results = drawn(400, 4)
    folds = pc.cast(pc.bit_wise_and(results["class_id"], 1), "string")
    results = results.set_column(results.schema.get_field_index("fold"), "fold", folds)
    classes = {"0": (0, 2), "1": (1, 3)}
    parts = {f: results.filter(pc.equal(results["fold"], f)) for f in classes}
    ends = [interval("A", parts[f], classes[f]) for f in classes]
    mean = sum(measure("A", parts[f], classes[f]) for f in classes) / 2
    low, high = interval_over_folds("A", results, classes)
    assert low < mean < high
    # Narrower than that of one fold, by at most the square root of two.
    widths = [end[1] - end[0] for end in ends]
    assert max(widths) / 2 < high - low < max(widths)
    assert interval_over_folds("A", parts["0"], {"0": (0, 2)}) == ends[0]
    assert interval_over_folds("A", results, {**classes, "2": (5,)}) is None
    assert interval_over_folds("A", results.slice(0, 0), {}) is None


def test_ten_thousand_episodes_have_an_interval(drawn):
    results = drawn(10_000, 80)
    low, high = interval("A", results, range(80))
    assert low < measure("A", results, range(80)) < high
