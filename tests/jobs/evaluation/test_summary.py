"""The numbers of an evaluation: what they are made of, and what they may stand beside."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.published.paper_tables import paper_table
from ipseg.benchmarks.published.published import published
from ipseg.errors import OutputError
from jobs.evaluation.comparison import compare
from jobs.evaluation.plots import axis, mark
from jobs.evaluation.summarise import summarise

COCO = {"benchmark": "coco-20i", "title": "COCO-20i", "folds": ("0", "1", "2", "3")}


def iou(shift: int) -> float:
    inside = max(0, 20 - shift) * 20
    return inside / (800 - inside)


def test_every_formula_is_measured_and_the_protocols_comes_first(evaluation):
    summary = summarise(evaluation(formula="A", formulas=["B", "A", "D"]))
    (variant,) = summary.variants
    assert list(variant.numbers) == ["A", "B", "D"]
    assert variant.numbers["B"].value == pytest.approx(sum(map(iou, range(6))) / 6)
    low, high = variant.headline.interval
    assert low < variant.headline.value < high
    assert not summary.partial
    assert summary.gaps == []


def test_the_mean_is_over_folds_and_each_fold_is_told(evaluation):
    out = evaluation(folds=("0", "1"), shift=lambda episode, _: 2 * (episode % 3))
    number = summarise(out).variants[0].headline
    assert number.folds == {"0": number.value, "1": number.value}
    assert number.fold_intervals.keys() == {"0", "1"}


def test_failed_and_missing_episodes_make_a_result_partial(evaluation):
    out = evaluation(failed={1, 4}, missing={5})
    summary = summarise(out)
    coverage = summary.variants[0].coverage
    assert (coverage.total, coverage.ok, coverage.failed, coverage.missing) == (6, 3, 2, 1)
    assert summary.partial
    why = "the image is cut off"
    assert summary.gaps == [f"PARTIAL: 2 of 6 episodes failed, 1 missing: {why}"]
    assert summary.variants[0].headline.value == pytest.approx((iou(0) + iou(2) + iou(3)) / 3)
    assert json.loads(Path(out, "summary.json").read_text())["partial"] is True


def test_missing_episodes_alone_are_partial_too(evaluation):
    assert summarise(evaluation(missing={5})).gaps == ["PARTIAL: 1 of 6 episodes missing"]


def test_a_run_in_which_everything_failed_has_no_number(evaluation):
    summary = summarise(evaluation(failed=range(6)))
    assert summary.best.headline.value is None
    assert summary.best.headline.interval is None


def test_settings_with_the_same_gap_are_told_once(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("k=8", "k=32")]
    summary = summarise(evaluation(variants=variants, failed={0}))
    why = "the image is cut off"
    assert summary.gaps == [f"PARTIAL: 1 of 6 episodes failed, with every setting: {why}"]


def test_a_setting_that_was_refused_is_a_line_without_numbers(evaluation):
    variants = [{"label": label, "settings": []} for label in ("no", "one", "two")]
    variants[0]["refused"] = "too few channels"
    summary = summarise(evaluation(variants=variants))
    refused, one, two = summary.variants
    assert {number.value for number in refused.numbers.values()} == {None}
    assert (refused.cost, refused.difference, refused.coverage.ok) == (None, None, 0)
    assert summary.first is one
    assert one.difference is None
    assert two.difference is not None
    assert summary.partial
    assert summary.gaps == ["NOT RUN, with no: too few channels"]
    assert set(summary.per_class["variant"].to_pylist()) == {"one", "two"}
    written = json.loads(Path(summary.outcome.out, "summary.json").read_text())
    assert [each["refused"] for each in written["variants"]] == ["too few channels", "", ""]


def test_the_best_setting_is_the_highest_of_those_that_are_whole(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("far", "near")]
    out = evaluation(variants=variants, shift=lambda _, variant: 9 - 4 * variant)
    assert summarise(out).best.label == "near"


def test_a_setting_is_compared_with_the_first_over_the_episodes_of_both(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("far", "near")]
    out = evaluation(variants=variants, shift=lambda episode, v: episode + 4 - 4 * v)
    far, near = summarise(out).variants
    assert far.difference is None
    assert near.difference.episodes == 6
    assert near.difference.value == pytest.approx(near.headline.value - far.headline.value)
    low, high = near.difference.interval
    assert 0 < low <= near.difference.value <= high
    alone = [each.headline.interval for each in (far, near)]
    assert high - low < min(end - start for start, end in alone), "what they share drops out"


def test_per_class_tables_hold_every_setting_and_formula(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("a", "b")]
    out = evaluation(variants=variants)
    summarise(out)
    rows = pq.read_table(f"{out}/per_class.parquet").to_pylist()
    keys = {(row["variant"], row["formula"], row["class_name"]) for row in rows}
    assert keys == {(v, f, c) for v in "ab" for f in "AB" for c in ("cat", "dog")}
    assert len(rows) == len(keys)


def test_classes_that_no_episode_asks_for_are_named(evaluation):
    summary = summarise(evaluation(unused=["zebra"]))
    assert summary.never_drawn == {"": ["zebra"]}
    number = summary.variants[0].numbers
    assert number["A"].value == pytest.approx(sum(_class_iou(c) for c in (0, 1)) / 3)


def _class_iou(number: int) -> float:
    inside = sum(20 * (20 - shift) for shift in range(3 * number, 3 * number + 3))
    return inside / (3 * 800 - inside)


def test_the_same_method_in_the_same_formula_is_what_a_run_is_measured_by(evaluation):
    variant = summarise(evaluation(**COCO, formula="B", formulas=["B"])).variants[0]
    theirs = variant.counterpart
    assert (theirs.method, theirs.formula, theirs.value) == ("IPSeg", "B", 43.0)
    assert theirs.delta == pytest.approx(100 * variant.headline.value - 43.0)
    assert theirs.folds == {"0": 40.9, "1": 44.9, "2": 40.1, "3": 46.2}


def test_no_difference_across_formulas(evaluation):
    (variant,) = summarise(evaluation(**COCO, formula="A", formulas=["A"])).variants
    assert variant.counterpart is None  # IPSeg's numbers are B
    for each in variant.comparisons:
        if each.formula == "A":
            assert each.delta == pytest.approx(100 * variant.headline.value - each.value)
        else:
            assert (each.delta, each.reason) == (None, f"other formula, {each.formula}")
    assert {each.formula for each in variant.comparisons} > {"A", "B"}
    assert [each.comparable for each in variant.comparisons] == sorted(
        (each.comparable for each in variant.comparisons), reverse=True
    )


def test_a_second_formula_is_compared_with_numbers_of_its_own(evaluation):
    (variant,) = summarise(evaluation(**COCO, formula="B", formulas=["B", "A"])).variants
    matcher = next(c for c in variant.comparisons if c.method == "Matcher" and c.formula == "A")
    assert matcher.delta == pytest.approx(100 * variant.numbers["A"].value - matcher.value)


def test_a_run_over_some_folds_is_compared_with_the_same_folds(evaluation):
    variant = summarise(evaluation(**(COCO | {"folds": ("1", "3")}))).variants[0]
    assert variant.counterpart.value == pytest.approx((44.9 + 46.2) / 2)
    foris = next(each for each in variant.comparisons if each.method == "FoRIS")
    assert foris.delta is None
    assert "folds" in foris.reason


def test_other_shots_are_not_listed():
    evaluation = {"benchmark": "coco-20i", "shot": 5, "folds": {str(n): {} for n in range(4)}}
    listed = compare(evaluation, {"A": 0.5})
    assert len(listed) == len([n for n in published("coco-20i", 5) if not n.fold]) > 0


def test_a_given_mask_is_measured_by_numbers_with_a_given_mask(evaluation):
    protocol = {"formula": "B", "side": 1024, "ground_truth_resize": "linear", "given_mask": True}
    out = evaluation(**COCO, protocol={**protocol, "boundaries": False, "assign": "binary"})
    assert summarise(out).variants[0].counterpart.value == 47.3


def test_a_sweep_of_a_paper_table_stands_beside_its_rows(evaluation):
    rows = paper_table(4).rows[:2]
    variants = [{"label": row.label, "settings": list(row.settings)} for row in rows]
    out = evaluation(benchmark="perseg", variants=variants, table=4)
    for row, variant in zip(rows, summarise(out).variants, strict=True):
        assert variant.counterpart.value == row.value("perseg")
        assert variant.counterpart.delta is not None
    out = evaluation(
        "other", benchmark="perseg", variants=variants, table=4, formula="A", formulas=["A", "B"]
    )
    for variant in summarise(out).variants:
        assert variant.counterpart.delta is None
        assert variant.counterpart.reason == "other formula, B"


def test_a_free_sweep_is_measured_by_nothing(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("a", "b")]
    for variant in summarise(evaluation(**COCO, variants=variants)).variants:
        assert variant.counterpart is None


@pytest.mark.parametrize(
    ("known", "whole"), [([True, True], True), ([True, False], False), ([True, None], None)]
)
def test_the_list_is_published_only_if_every_fold_is(evaluation, known, whole):
    out = evaluation(folds=("0", "1"))
    path = Path(out, "evaluation.json")
    content = json.loads(path.read_text())
    for fold, answer in zip(content["folds"].values(), known, strict=True):
        fold["published_list"] = answer
    path.write_text(json.dumps(content))
    assert summarise(out).published_list is whole


def test_a_folder_without_an_evaluation_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"no evaluation\.json"):
        summarise(str(tmp_path))


def test_results_of_another_run_are_refused(evaluation):
    mixed, other = evaluation("mixed"), evaluation("other", each=4)
    Path(mixed, "results.parquet").write_bytes(Path(other, "results.parquet").read_bytes())
    with pytest.raises(OutputError, match=r"episode 6 .* not in its list"):
        summarise(mixed)


def test_results_of_an_unknown_setting_are_refused(evaluation):
    variants = [{"label": label, "settings": [label]} for label in ("k=8", "k=32")]
    out = evaluation(variants=variants)
    path = Path(out, "evaluation.json")
    content = json.loads(path.read_text())
    content["variants"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(OutputError, match="'k=32', which it did not run"):
        summarise(out)


def test_results_that_are_there_twice_are_refused(evaluation):
    out = evaluation()
    path = Path(out, "results.parquet")
    table = pq.read_table(path)
    pq.write_table(table.take([0, *range(len(table))]), path)
    with pytest.raises(OutputError, match="two results of episode 0"):
        summarise(out)


@given(st.lists(st.none() | st.integers(-100_000, 100_000).map(lambda n: n / 1000), max_size=20))
def test_every_value_finds_its_place_on_the_axis(values):
    scale = axis(values)
    assert scale.ticks[0] == scale.low < scale.high == scale.ticks[-1]
    assert 2 <= len(scale.ticks) <= 9
    known = [value for value in values if value is not None]
    assert all(scale.low <= value <= scale.high for value in known)
    places = [scale.place(value) for value in sorted(known)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


def test_what_is_not_known_has_no_mark():
    scale = axis([40.0, 60.0])
    assert mark(scale, None) == mark(scale, None, None, None)
    drawn = mark(scale, 0.5, (0.45, 0.55), 60.0)
    assert (drawn.low, drawn.value, drawn.high, drawn.published) == pytest.approx((25, 50, 75, 100))
