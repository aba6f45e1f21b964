"""From one disc to all of them, and every way in which that can end early."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ipseg.columns import from_table, to_table
from ipseg.errors import ConfigError
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.persense.decoding import prompts_at
from ipseg.methods.persense.idm import InstanceDetection
from ipseg.methods.persense.method import PerSenseMethod
from ipseg.methods.persense.persense import PerSense
from ipseg.methods.persense.ppsm import PointSelection
from ipseg.runner import prepare, run_local
from ipseg.steps.name import kept_name

sys.path.append(str(Path(__file__).parent))

from parts import PLACES, Bright, Brightness, Fill, Given, Named, discs

FEATURES = {"brightness/level": np.array([220], np.float32), **kept_name({"concept": "disc"})}
BANK = Given({"disc": FEATURES})
EVERYWHERE = [[0.0, 0, 239, 179]]
RELEASED = PointSelection(
    ppsm_threshold="released",
    ppsm_fallback_first_pass="released",  # noqa: S106
)


def method(segmenter=None, counter=None, detector=None, names=None, **settings):
    return PerSenseMethod(
        segmenter=segmenter or Fill(),
        counter=counter or Bright(),
        detector=detector,
        features={"brightness": Brightness()},
        matching=Matching(grid=60),
        names=names or {},
        persense=PerSense(**settings),
    )


def found(tried, image=None, **more):
    """The row that comes out, as it is after a trip through Arrow."""
    image = discs() if image is None else image
    steps = tried.image_steps(BANK)
    prepare(steps)
    row = {"key": "a", "image": image, "width": image.shape[1], "height": image.shape[0], **more}
    (done,) = run_local(steps, [row])
    (back,) = from_table(to_table([done], ["objects", "crowds", "error_message"]))
    assert "error_message" not in back
    return back


def test_every_disc_is_an_instance_with_its_point():
    row = found(method())
    objects = row["objects"]
    assert [each.instance for each in objects] == list(range(len(PLACES)))
    centres = sorted(tuple(each.points[0, :2]) for each in objects)
    np.testing.assert_allclose(centres, sorted(PLACES), atol=1)
    for each in objects:
        x, y, label = each.points[0]
        assert label == 1
        assert each.mask[int(y), int(x)]
        assert each.area == pytest.approx(np.pi * 14**2, rel=0.1)
        assert each.evidence == {"count": 12, "density_sum": 12}
        assert each.score == pytest.approx(0.9)
    (crowd,) = row["crowds"]
    assert (crowd.concept, crowd.count, len(crowd.points)) == ("disc", 12, 12)
    assert (crowd.notes, crowd.ended) == ((), False)


def test_the_second_count_goes_by_three_exemplars():
    counter = Bright()
    tried = method(counter=counter)
    steps = tried.image_steps(BANK)
    prepare(steps)
    part = steps[3].counter
    part.boxes.clear()
    image = discs()
    list(run_local(steps, [{"image": image, "width": 240, "height": 180}]))
    first, second = part.boxes
    assert (len(first), len(second)) == (1, 3)
    assert np.array_equal(first[0], second[0])
    assert set(np.ptp(second.reshape(-1, 2, 2), axis=1).ravel()) == {28.0}


@pytest.mark.parametrize(
    ("status", "tried"),
    [
        ("no grounding box", {"detector": Named()}),
        ("empty first mask", {"segmenter": Fill(refined=False)}),
        ("empty density", {"counter": Bright(flat=True)}),
        ("no contour", {"counter": Bright(lines=True)}),
        ("count <= 0", {"counter": Bright(count_as=-2.5)}),
        ("empty final union", {"segmenter": Fill(plain=False)}),
    ],
)
def test_each_early_end_is_a_row_with_its_status(status, tried):
    row = found(method(**tried))
    (crowd,) = row["crowds"]
    assert (crowd.notes, crowd.ended) == ((status,), True)
    assert row["objects"] == []
    assert np.isfinite([crowd.count, crowd.total]).all()


def test_where_no_point_is_in_a_gate_all_are_kept_and_that_is_noted():
    detector = Named({"disc": EVERYWHERE})  # and nothing for all of them
    row = found(method(detector=detector))
    (crowd,) = row["crowds"]
    assert (crowd.notes, crowd.ended) == (("no point kept",), False)
    assert len(row["objects"]) == len(PLACES)


def test_as_released_a_first_pass_without_points_counts_by_one_exemplar_again():
    steps_of = {}
    for how in ("released", "fixed"):
        ppsm = replace(RELEASED, ppsm_fallback_first_pass=how)
        tried = method(counter=Bright(count_as=1.2), ppsm=ppsm)
        steps = tried.image_steps(BANK)
        prepare(steps)
        steps[3].counter.boxes.clear()
        (row,) = run_local(steps, [{"image": discs(), "width": 240, "height": 180}])
        assert row["crowds"][0].notes == ("no point kept",)
        steps_of[how] = [len(boxes) for boxes in steps[3].counter.boxes]
    assert steps_of == {"released": [1, 1], "fixed": [1, 3]}


def test_a_count_below_zero_goes_on_as_released():
    row = found(method(counter=Bright(count_as=-2.0), ppsm=RELEASED))
    (crowd,) = row["crowds"]
    assert (crowd.notes, crowd.ended) == (("count <= 0",), False)
    assert len(row["objects"]) == len(PLACES)


def test_instances_lie_in_a_gate_and_the_first_is_grown_from_the_best_box():
    (x, y), half = PLACES[5], 20
    gates = [[0.0, 0, 120, 179]]
    one = [[0.0, 0, 30, 30], [x - half, y - half, x + half, y + half]]
    detector = Named({"round disc": one, "all round discs": gates})
    tried = method(detector=detector, names={"disc": "round disc"}, initial_point="released")
    row = found(tried)
    assert {each.points[0, 0] <= 120 for each in row["objects"]} == {True}
    assert len(row["objects"]) == sum(px <= 120 for px, _ in PLACES)
    assert row["crowds"][0].named[0].tolist() == one[1]


def test_two_points_on_one_object_are_one_instance_unless_all_are_wanted():
    places = [(40, 60), (160, 60), (60, 130), (180, 130)]
    image = discs(places)
    image[118:142, 60:180] = 220  # two discs grow together
    several = InstanceDetection(hybrid=True)
    once = found(method(idm=several), image)["objects"]
    every = found(method(idm=several, nms=1.0), image)["objects"]
    assert len(once) == 3 < len(every)
    assert [each.instance for each in once] == [0, 1, 2]


def test_neighbours_are_points_off_an_instance_the_nearest_first():
    points = np.array([[0, 0], [10, 0], [0, 3], [50, 50]])
    first, second, *_ = prompts_at(points, neighbours=2)
    assert (first.coords.tolist(), first.labels.tolist()) == ([[0, 0], [0, 3], [10, 0]], [1, 0, 0])
    assert second.coords.tolist() == [[10, 0], [0, 0], [0, 3]]
    (alone,) = prompts_at(points[:1], neighbours=2)
    assert alone.labels.tolist() == [1]
    assert [each.labels.tolist() for each in prompts_at(points)] == [[1]] * 4


def test_a_mask_that_holds_many_is_left_out_if_that_is_wanted():
    image = discs([(x, y) for x, y in PLACES if y < 100])
    image[118:178, 2:238] = 220
    every, usual = (found(method(imrm=how), image)["objects"] for how in (False, True))
    largest = max(each.area for each in every)
    assert largest == 60 * 236
    assert [each.area for each in usual] == [each.area for each in every if each.area < largest]


def test_a_row_that_asks_for_nothing_has_no_crowd():
    row = found(method(), asks=[])
    assert (row["objects"], row["crowds"]) == ([], [])


def test_a_segmenter_without_features_needs_some():
    with pytest.raises(ConfigError, match="has no features to compare images by"):
        PerSenseMethod(Fill(), Bright())


def test_the_name_is_that_of_the_prompts_concept_whatever_the_entry_is_called():
    (x, y), half = PLACES[5], 20
    detector = Named({"disc": [[x - half, y - half, x + half, y + half]], "all discs": EVERYWHERE})
    steps = method(detector=detector).image_steps(Given({"5d41402abc4b": FEATURES}))
    prepare(steps)
    image = discs()
    row = {"key": "a", "image": image, "width": image.shape[1], "height": image.shape[0]}
    (done,) = run_local(steps, [row])
    assert done["crowds"][0].named is not None
