"""The arrays that the page filters and orders by."""

from pathlib import Path

import numpy as np
import pytest

from ipseg.errors import OutputError
from ipseg.scores.calibrator import Calibrator
from jobs.review.index import read_index
from jobs.review.offers import Offers, Wanted, middles
from jobs.review.rows import Rows, crop_of
from jobs.review.state import State
from pipeline.export.splits import Splits
from pipeline.labels.calibration import Calibration, Fitted, origin_of_scores
from pipeline.runfolder.manifest import Manifest
from pipeline.sources.listing import Spool


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


def test_sides_of_a_split_are_those_of_an_export(made):
    out = made.cups_and_hats("sides")
    splits = Splits.parse("train=0.5,val=0.5")
    index = read_index(out, splits)
    for image, key in enumerate(index.keys.to_pylist()):
        assert index.sides[index.side[image]] == splits.side(key, {})
    offers = Offers(index, State(index, Rows(index)), {})
    val = offers.fitting(Wanted(side="val"))
    assert 0 < val.sum() < len(index)
    assert not (val & offers.fitting(Wanted(side="train"))).any()
    assert read_index(out).sides == ()
    with pytest.raises(OutputError, match="no column 'nowhere'"):
        read_index(out, Splits.parse(None, column="nowhere"))


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


def test_the_doubtful_middle_comes_from_the_scores_and_from_a_calibration(made):
    rows = [
        made.row(f"{n}", [made.found("cup", (0.9 if n % 2 else 0.2) + n / 1000)]) for n in range(80)
    ]
    out = made.write("middles", rows, ["cup", "hat"])
    index = read_index(out)
    (name,) = middles(index)
    assert name == "cup"
    assert 0.3 < middles(index)["cup"] < 0.9
    curve = Calibrator("isotonic", knots=((0.0, 0.0), (0.7, 0.5), (1.0, 1.0)))
    about = {
        **origin_of_scores(Manifest.read(out)),
        "run": out,
        "labels": {},
        "date": "",
        "precision": None,
    }
    Calibration(Fitted(curve), None, {}, None, about).write(out)
    assert middles(index) == {"cup": 0.7, "hat": 0.7}


def test_frames_of_a_sequence_are_images_of_their_own(made):
    frames = [made.image(), made.image("other.jpg", 1)]
    objects = [made.found("cup", 0.5, frame=0), made.found("cup", 0.6, 5, frame=1)]
    out = made.write("frames", [made.row("run", objects)], ["cup"])
    with Spool(("key", "uri", "frame_uris")) as spool:
        spool.add([{"key": "run", "uri": frames[0], "frame_uris": frames}])
        (shard,) = spool.write(out)
    made.write("frames", [made.row("run", objects, shard=shard.id)], ["cup"])
    for part in Path(out, "data/shard=0").iterdir():
        part.unlink()
    rows = Rows(read_index(out))
    assert rows.index.frame.tolist() == [0, 1]
    assert not np.array_equal(rows.pixels(0, 0), rows.pixels(0, 1))
    with pytest.raises(IndexError):
        rows.pixels(0, 2)
