"""The arrays that the page filters and orders by."""

import numpy as np
import pytest

from ipseg.errors import OutputError
from jobs.review.index import read_index
from jobs.review.rows import Rows, crop_of


def test_what_failed_is_counted_and_the_rest_can_be_found(made):
    index = read_index(made.cups_and_hats("index"))
    assert (index.rows, index.failed, len(index.keys), len(index)) == (31, 1, 30, 40)
    assert index.concepts == ("cup", "hat")
    image = index.find("006.jpg")
    assert index.key(image) == "006.jpg"
    cup, hat = index.objects_of(image)
    assert [index.concepts[index.concept[n]] for n in (cup, hat)] == ["cup", "hat"]
    assert index.score[[cup, hat]] == pytest.approx([7 / 31, 0.84], abs=1e-6)
    np.testing.assert_array_equal(index.box[cup], [16, 20, 40, 30])
    assert index.area[cup] == 1200
    assert index.find("broken.jpg") is None
    assert index.find("nowhere.jpg") is None
    found = Rows(index).objects(image)
    assert [each.concept for each in found] == ["cup", "hat"]


def test_a_key_that_was_written_twice_comes_once(made):
    rows = [made.row(f"{n}.jpg", [made.found("cup", 0.5)]) for n in range(3)]
    out = made.write("twice", rows, ["cup"])
    made.write("twice", rows[:1], ["cup"])
    index = read_index(out)
    assert sorted(index.keys.to_pylist()) == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_concept_that_the_manifest_lacks_is_there_all_the_same(made):
    out = made.write("more", [made.row("a", [made.found("bowl", 0.5)])], ["cup"])
    assert read_index(out).concepts == ("cup", "bowl")


def test_no_run_says_so(tmp_path):
    with pytest.raises(OutputError, match=r"no run at .*manifest"):
        read_index(str(tmp_path))


@pytest.mark.parametrize(
    ("at", "crop"),
    [(20, (20, 5, 80, 65)), (0, (0, 5, 60, 65)), (78, (68, 5, 128, 65))],
)
def test_crops_lie_around_the_object_and_inside_the_image(made, at, crop):
    out = made.write(f"crop-{at}", [made.row("a", [made.found("cup", 0.5, at)])], ["cup"])
    assert crop_of(read_index(out), 0) == crop
