"""One pass over a run: what it counts and which rows it picks, in whatever order they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ImageError
from ipseg.rows import failed
from jobs.report.survey import Top, ious_of, survey
from pipeline.labels.review import Review


def test_rows_written_twice_count_once(maker, tmp_path):
    maker.write(str(tmp_path), maker.measured()[:7], ["cat", "cup"])
    part = next((tmp_path / "data/shard=0").iterdir())
    (tmp_path / "data/shard=0" / "part-again.parquet").write_bytes(part.read_bytes())
    assert survey(str(tmp_path), Review([])).counts == {"ok": 7}


def test_it_does_not_depend_on_order(maker, tmp_path):
    rows = maker.measured()
    maker.write(str(tmp_path / "a"), rows, ["cat", "cup"])
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    maker.write(str(tmp_path / "b"), shuffled, ["cat", "cup"])
    found = [survey(str(tmp_path / name), Review([])) for name in "ab"]
    picks = [
        [
            [place.key for place in places]
            for places in (
                *(each.measured.best(), each.measured.worst(), each.measured.several()),
                *(each.none_present(), each.nothing_found()),
            )
        ]
        for each in found
    ]
    assert picks[0] == picks[1]


def test_what_is_counted(maker, tmp_path):
    rows = maker.measured()[:3]
    rows[1] = failed(rows[1], "read", ImageError("gone"))
    rows[2]["metrics"][0] = maker.not_compared("cat", "no mask")
    rows.append(maker.row("none", "moon"))
    maker.write(str(tmp_path), rows, ["cat", "cup"])
    found = survey(str(tmp_path), Review([]))
    assert found.counts == {"ok": 2, "failed": 1, "empty": 1}
    assert found.failures.count == found.not_compared.count == 1
    assert found.ious.sum() == 2, "a cat and a cup in the first row"
    assert {name: int(c.sum()) for name, c in found.present_scores.items()} == {"cat": 1, "cup": 1}
    assert {name: int(c.sum()) for name, c in found.absent_scores.items()} == {"cup": 1}
    assert [place.key for place in found.none_present()] == [], "it is not known of the third row"
    assert [place.key for place in found.nothing_found()] == ["none"]


@pytest.mark.parametrize(
    ("frames", "expected"), [([1.0, 0.5], 0.75), ([None, 0.5], 0.5), ([None, None], None)]
)
def test_the_iou_in_a_sequence_is_the_mean_over_frames_that_have_the_concept(
    maker, frames, expected
):
    metrics = [maker.metric("cat", iou, frame) for frame, iou in enumerate(frames)]
    assert ious_of([*metrics, maker.not_compared("cup", "no mask")]) == {"cat": expected}


@given(st.lists(st.floats(-1, 1), max_size=40), st.integers(1, 10))
def test_top_keeps_the_largest(values: list[float], size: int):
    top = Top(size)
    for number, value in enumerate(values):
        top.add(value, f"{number:03d}", value)
    assert top.items() == sorted(values, reverse=True)[:size]
