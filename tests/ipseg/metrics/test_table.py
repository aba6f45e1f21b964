from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ConfigError
from ipseg.metrics import (
    FORMULAS,
    Boundary,
    Region,
    measure,
    over_folds,
    per_class,
)

FEW_SHOT = ("A", "A'", "B", "C", "D", "P", "P.mAcc")
OF_PIXELS = [n for n, f in FORMULAS.items() if "instances" not in f.estimator.needs]
VIDEO = ("J", "J.recall", "J.decay", "F", "F.recall", "F.decay")


@st.composite
def regions(draw):
    ground_truth, predicted = draw(st.integers(0, 10**7)), draw(st.integers(0, 10**7))
    shared = draw(st.integers(0, min(ground_truth, predicted)))
    union = ground_truth + predicted - shared
    return Region(union + draw(st.integers(0, 10**7)), shared, union, ground_truth, predicted)


@st.composite
def boundaries(draw):
    lines = [draw(st.integers(0, 4000)) for _ in range(2)]
    near = [draw(st.integers(0, line)) for line in lines]
    return Boundary(lines[0], near[0], lines[1], near[1])


ROWS = st.lists(
    st.tuples(st.integers(0, 4), regions(), boundaries(), st.just({})), min_size=1, max_size=25
)


@pytest.mark.parametrize("case", ["plain", "ignore"])
@pytest.mark.parametrize("formula", FEW_SHOT)
def test_golden_numbers(golden, numbers, table, formula, case):
    rows = [
        (class_id, Region.of(p, t, v if case == "ignore" else None), None, {})
        for class_id, p, t, v in golden.images()
    ]
    value = measure(formula, table(rows), (2, 5, 9, 12))
    assert value == pytest.approx(float(numbers[f"{case}.{formula}"]), abs=1e-12)


@pytest.mark.parametrize("formula", VIDEO)
def test_golden_numbers_of_videos(numbers, table, golden_video, formula):
    rows = [
        (number, *frame, {"class_name": name})
        for number, (name, frames) in enumerate(golden_video.items())
        for frame in frames
    ]
    results = table(rows)
    assert measure(formula, results, range(3)) == pytest.approx(numbers[formula].mean(), abs=1e-12)
    found = per_class(formula, results)
    np.testing.assert_allclose(found["value"], numbers[formula], rtol=0, atol=1e-12)
    assert found["class_name"].to_pylist() == list(golden_video)


@given(rows=ROWS, random=st.randoms(use_true_random=False), cut=st.integers(0, 25))
def test_the_order_of_rows_and_parts_does_not_matter(table, rows, random, cut):
    results = table(rows)
    shuffled = results.take(random.sample(range(len(rows)), len(rows)))
    parts = pa.concat_tables([shuffled.slice(cut), shuffled.slice(0, cut)])
    for formula in OF_PIXELS:
        value = measure(formula, results, range(6))
        assert measure(formula, parts, range(6)) == value
        if value is not None:
            assert (-1 if "decay" in formula else 0) <= value <= 1
    assert per_class("JF", parts).equals(per_class("JF", results))


@given(rows=ROWS)
def test_the_formulas_against_fractions(table, rows):
    def ratio(inside, line):
        return Fraction(inside, max(line, 1))

    regions = [region for _, region, _, _ in rows]
    seen = sorted({class_id for class_id, *_ in rows})
    sums = {c: _sum(region for class_id, region, _, _ in rows if class_id == c) for c in seen}
    ious = [ratio(s["intersection"], s["union"]) for s in sums.values()]
    around = [(r.pixels - r.union, r.pixels - r.intersection) for r in regions]
    whole = _sum(regions)
    wanted = {
        "A": sum(ious) / 6,
        "A'": sum(ious) / len(seen),
        "B": _mean([Fraction(r.intersection, r.union) for r in regions if r.union]),
        "C": _mean([ratio(r.intersection, r.union) for r in regions] + [ratio(*a) for a in around]),
        "D": (
            ratio(whole["intersection"], whole["union"])
            + ratio(sum(inside for inside, _ in around), sum(line for _, line in around))
        )
        / 2,
        "P": sum(ious) / 6,
        "P.mAcc": sum(ratio(s["intersection"], s["ground_truth"]) for s in sums.values()) / 6,
    }
    results = table(rows)
    for formula, value in wanted.items():
        found = measure(formula, results, range(6))
        assert found == (None if value is None else pytest.approx(float(value), abs=1e-9))


def _sum(regions):
    columns = [asdict(region) for region in regions]
    return {name: sum(column[name] for column in columns) for name in columns[0]}


def _mean(values):
    return sum(values) / len(values) if values else None


def test_the_formulas_differ_on_the_same_masks(table):
    rows = [
        (0, Region(1000, 90, 100, 95, 95), None, {}),
        (0, Region(1000, 0, 10, 10, 0), None, {}),
        (1, Region(1000, 1, 2, 2, 1), None, {}),
    ]
    results = table(rows)
    values = {formula: measure(formula, results, (0, 1, 7)) for formula in FEW_SHOT}
    around = (900 / 910, 990 / 1000, 998 / 999)
    inside = (0.9, 0, 0.5)
    assert values == pytest.approx(
        {
            "A": (90 / 110 + 0.5) / 3,
            "A'": (90 / 110 + 0.5) / 2,
            "B": 1.4 / 3,
            "C": (sum(inside) + sum(around)) / 6,
            "D": (91 / 112 + 2888 / 2909) / 2,
            "P": (90 / 110 + 0.5) / 3,
            "P.mAcc": (90 / 105 + 0.5) / 3,
        }
    )


def frames(*js):
    return [Region(100, j, 10, 10, j) for j in js]


def test_a_video_counts_objects_and_not_frames(table):
    boundary = Boundary(4, 4, 4, 2)  # F = 2/3
    rows = [(0, r, boundary, {}) for r in frames(10, 10, 10, 2)]
    rows += [(1, Region(100, 0, 0, 0, 0), Boundary(), {})]
    results = table(rows)
    assert measure("J", results, (0, 1)) == pytest.approx((0.8 + 1) / 2)
    assert measure("J.recall", results, (0, 1)) == pytest.approx((0.75 + 1) / 2)
    assert measure("F", results, (0, 1)) == pytest.approx((2 / 3 + 1) / 2)
    assert measure("JF", results, (0, 1)) == pytest.approx((0.9 + 5 / 6) / 2)
    # Bounds round(1, 1.75, 2.5, 3.25, 4) = 1, 2, 3, 3, 4: frames 1-2 against frames 3-4.
    assert measure("J.decay", results, (0, 1)) == pytest.approx((1 - 0.6 + 0) / 2)


def test_exactly_half_does_not_count_as_recalled(table):
    results = table([(0, r, None, {}) for r in frames(5, 6, 4, 10)])
    assert measure("J.recall", results, [0]) == 0.5


def test_decay_follows_the_episodes_beyond_256_frames(table):
    js = [10] * 100 + [0] * 220 + [5] * 80
    results = table([(0, r, None, {}) for r in frames(*js)])
    # The quarters are frames 1-101 and 300-400: 100 of 10/10, and 80 of 5/10.
    assert measure("J.decay", results, [0]) == pytest.approx((100 - 40) / 101)
    backwards = results.take(list(range(399, -1, -1)))
    assert measure("J.decay", backwards, [0]) == measure("J.decay", results, [0])


def test_failed_rows_do_not_count(table):
    good = (0, Region(100, 5, 10, 10, 5), None, {})
    bad = (1, Region(), None, {"status": "failed", **dict.fromkeys(vars(Region()))})
    results = table([good, bad])
    for formula in FEW_SHOT:
        assert measure(formula, results, (0, 1)) == measure(formula, table([good]), (0, 1))
        assert measure(formula, table([bad]), (0, 1)) is None
        assert measure(formula, table([]), (0, 1)) is None
    found = per_class("A", results)
    assert found["class_name"].to_pylist() == ["class 0", "class 1"]
    assert found["episodes"].to_pylist() == [1, 0]
    assert found["failed"].to_pylist() == [0, 1]
    assert found["value"].to_pylist() == [0.5, None]


def test_two_empty_masks(table):
    results = table([(0, Region(100, 0, 0, 0, 0), Boundary(), {})])
    values = {formula: measure(formula, results, [0]) for formula in OF_PIXELS}
    assert values == {
        "A": 0, "A'": 0, "B": None, "C": 0.5, "D": 0.5, "P": 0, "P.mAcc": 0,
        "J": 1, "J.recall": 1, "J.decay": 0, "F": 1, "F.recall": 1, "F.decay": 0, "JF": 1, "G": 1,
    }  # fmt: skip


def test_results_that_cannot_be_measured_together(table):
    row = (0, Region(100, 5, 10, 10, 5), None, {})
    with pytest.raises(ConfigError, match=r"did you mean 'J\.recall'"):
        measure("J.recal", table([row]), [0])
    with pytest.raises(ConfigError, match="boundaries are only counted for video"):
        measure("JF", table([row]), [0])
    with pytest.raises(ConfigError, match="instances where ground truth tells them apart"):
        measure("F1", table([row]), [0])
    with pytest.raises(ValueError, match="several folds"):
        measure("A", table([row, (*row[:3], {"fold": "1"})]), [0])
    with pytest.raises(ValueError, match="several variants"):
        measure("A", table([row, (*row[:3], {"variant": "points.k=4"})]), [0])
    with pytest.raises(ValueError, match="classes \\[0\\], which this fold does not have"):
        measure("A", table([row]), [1])
    with pytest.raises(ValueError, match="episode 0 is there twice"):
        measure("A", table([row, (*row[:3], {"episode": 0})]), [0])


def test_folds_and_their_mean(table):
    rows = [
        (0, Region(100, 5, 10, 10, 5), None, {"fold": "0"}),
        (1, Region(100, 10, 10, 10, 10), None, {"fold": "1"}),
        (3, Region(100, 8, 10, 10, 8), None, {"fold": "1"}),
    ]
    results = table(rows)
    found = over_folds("A", results, {"1": (1, 3), "0": (0, 2)})
    assert found.folds == pytest.approx({"0": 0.25, "1": 0.9})
    assert list(found.folds) == ["0", "1"]
    assert found.mean == pytest.approx(0.575)
    partial = over_folds("A", results, {"0": (0, 2), "1": (1, 3), "2": (4,)})
    assert partial.folds["2"] is None
    assert partial.mean is None
    with pytest.raises(ValueError, match="folds \\['1'\\], which are not among"):
        over_folds("A", results, {"0": (0, 2)})
    assert per_class("A", results)["fold"].to_pylist() == ["0", "1", "1"]
    assert per_class("A", results)["value"].to_pylist() == [0.5, 1.0, 0.8]


def test_every_formula_has_a_definition():
    assert list(FORMULAS) == [formula.id for formula in FORMULAS.values()]
    for formula in FORMULAS.values():
        assert formula.title
        assert formula.source
        assert "\n" not in formula.definition
        assert len(formula.definition) > 15
    assert len({formula.title for formula in FORMULAS.values()}) == len(FORMULAS)
