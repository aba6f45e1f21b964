"""Which part of a prompt image is the object."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import pytest

from ipseg.errors import ConfigError, PromptError
from ipseg.networks.models import Models
from ipseg.networks.shared import WithoutNetwork
from ipseg.runner import run_step
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.saliency.regions import FindRegions
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.segmenters.prompt import Decoded
from ipseg.steps.support import Support, check_given
from ipseg.vision.images import encode_png
from ipseg.vision.masks import read_soft_mask

SHAPE = (40, 60)
SALIENCY = ClassicalSaliency(long_side=60)


@dataclass
class Drawn:
    """A segmenter that answers with what it was given: the box filled, a disc around each point."""

    gpu_memory_gb: float = 0.0

    takes_boxes: ClassVar[bool] = True
    takes_similarity: ClassVar[bool] = False

    def setup(self, models):
        """Nothing to load."""

    def encode(self, images):
        return [image.shape[:2] for image in images]

    def decode(self, embedding, point_coords, point_labels, *, boxes=None, **more):
        canvas = np.zeros(embedding, np.uint8)
        if boxes is not None:
            x0, y0, x1, y1 = (round(v) for v in boxes)
            canvas[y0 : y1 + 1, x0 : x1 + 1] = 1
        for (x, y), label in zip(point_coords, point_labels, strict=True):
            assert label == 1
            cv2.circle(canvas, (round(x), round(y)), 3, 1, -1)
        nothing = np.zeros(embedding, bool)
        return Decoded(
            np.stack([nothing, canvas > 0]), np.array([0.2, 0.9], np.float32), np.zeros((2, 4, 4))
        )


@dataclass
class Faint(WithoutNetwork):
    """A saliency that is sure of nothing."""

    def isolate(self, image):
        return np.full(image.shape[:2], 0.2, np.float32)


def image_of(disc=True):
    image = np.full((*SHAPE, 3), 90, np.uint8)
    if disc:
        cv2.circle(image, (30, 20), 11, (220, 60, 30), -1)
    return image


@pytest.fixture
def beside(tmp_path):
    """Function: (H, W) bool mask -> its address in a file."""

    def write(mask, name="cup.mask.png"):
        (tmp_path / name).write_bytes(encode_png(mask.astype(np.uint8) * 255))
        return f"{tmp_path / name}#object"

    return write


def mask_of(x0=10, y0=5, x1=40, y1=30):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def found(support, row, own=None, *, drawn=False):
    """(mask, source, warning) that a support finds for a row."""
    step = support.step(own, drawn=drawn)
    step.models = Models()
    for part in step.networks:
        part.setup(step.models)
    given = {"uri": "cup.jpg", "image": image_of(), **row}
    (done,) = step([given])
    assert given.keys() <= done.keys()
    mask = read_soft_mask(done["support_mask"])
    assert mask.shape == given["image"].shape[:2]
    return mask, done["mask_source"], done["warning"]


def test_a_mask_beside_the_prompt_goes_before_saliency(beside):
    row = {"given_mask": beside(mask_of())}
    for kind in ("mask", "saliency"):
        mask, source, warning = found(Support(kind, SALIENCY), row)
        assert np.array_equal(mask, mask_of())
        assert (source, warning) == ("mask", None)


def test_what_stands_out_is_the_object_where_nothing_is_given():
    mask, source, warning = found(Support("saliency", SALIENCY), {})
    disc = cv2.circle(np.zeros(SHAPE, np.uint8), (30, 20), 11, 1, -1) > 0
    inside = mask > 0.5
    assert (inside & disc).sum() / (inside | disc).sum() > 0.8
    assert (source, warning) == ("saliency", None)


def test_none_takes_the_whole_image_whatever_lies_beside(beside):
    row = {"given_mask": beside(mask_of()), "given_box": [1, 2, 3, 4]}
    mask, source, warning = found(Support("none"), row)
    assert mask.min() == 1
    assert (source, warning) == ("none", None)


@pytest.mark.parametrize("kind", ["box", "saliency"])
def test_a_box_goes_through_the_segmenter(kind, beside):
    support = Support(kind, SALIENCY)
    mask, source, _ = found(support, {"given_box": [10, 5, 39, 29]}, Drawn(), drawn=True)
    assert np.array_equal(mask, mask_of()), "the candidate with the highest predicted IoU"
    assert source == "box"


def test_a_box_is_measured_on_a_mask_that_lies_there_instead(beside):
    support = Support("box", segmenter=Drawn())
    for column in ("given_mask", "ground_truth"):
        mask, source, _ = found(support, {column: beside(mask_of())}, None)
        assert np.array_equal(mask, mask_of())
        assert source == "box"


@pytest.mark.parametrize("kind", ["point", "saliency"])
def test_points_go_through_the_segmenter(kind):
    points = [{"x": 12, "y": 9, "label": 1}, {"x": 40, "y": 20, "label": 1}]
    mask, source, _ = found(Support(kind, SALIENCY), {"given_points": points}, Drawn(), drawn=True)
    assert mask[9, 12] == mask[20, 40] == 1
    assert mask[20, 20] == 0
    assert source == "point"


def test_a_point_is_taken_from_a_mask_that_lies_there_instead(beside):
    mask, source, _ = found(Support("point"), {"ground_truth": beside(mask_of())}, Drawn())
    rows, columns = np.nonzero(mask)
    assert abs(rows.mean() - 17) < 1
    assert 22 <= columns.mean() <= 27
    assert source == "point"


def test_the_segmenter_of_a_support_goes_before_that_of_the_method():
    support = Support("point", segmenter=ClassicalSegmenter())
    assert support.step(Drawn(), drawn=False).segmenter == ClassicalSegmenter()


def test_a_segmenter_that_nobody_needs_is_not_loaded():
    step = Support("saliency", SALIENCY).step(Drawn(), drawn=False)
    assert [type(part) for part in step.networks] == [ClassicalSaliency, FindRegions]
    assert Support("mask", SALIENCY).step(Drawn(), drawn=False).networks == []


@pytest.mark.parametrize(
    ("support", "message"),
    [
        (Support("saliency"), r"set support.saliency.kind, or support.kind=mask"),
        (Support("box"), r"support 'box' needs a segmenter.*set support.segmenter.kind"),
        (Support("point"), r"support 'point' needs a segmenter"),
        (Support("box", segmenter=ClassicalSegmenter()), r"takes boxes, which ClassicalSegmenter"),
    ],
)
def test_a_part_that_is_missing_is_named_before_anything_runs(support, message):
    with pytest.raises(ConfigError, match=message):
        support.step(None, drawn=False)


def test_ground_truth_is_no_help_to_a_support_that_finds_the_object_itself(beside):
    """The protocol of a benchmark decides whether a method sees the ground truth of a support."""
    row = {"ground_truth": beside(mask_of(0, 0, 9, 9))}
    mask, source, _ = found(Support("saliency", SALIENCY), row)
    assert source == "saliency"
    assert mask[4, 4] == 0
    assert found(Support("mask"), row)[1] == "mask"


@pytest.mark.parametrize(
    ("support", "row", "message"),
    [
        (Support("mask"), {}, r"cup.jpg has no mask: put NAME.mask.png beside NAME.jpg"),
        (Support("box"), {}, r"cup.jpg has no box: put NAME.box.json .*--prompt-box"),
        (Support("point"), {}, r"cup.jpg has no point: put NAME.point.json .*--prompt-point"),
        (Support("box"), {"given_points": [{"x": 1, "y": 1, "label": 1}]}, "has no box"),
        (Support("box"), {"given_box": [60, 0, 70, 9]}, "at 60, 0, outside of its image of 60x40"),
        (Support("point"), {"given_points": [{"x": 5, "y": 40, "label": 1}]}, "at 5, 40, outside"),
    ],
)
def test_a_prompt_without_what_the_support_asks_for_is_refused(support, row, message):
    with pytest.raises(PromptError, match=message):
        found(support, row, Drawn())


def test_a_prompt_without_it_is_refused_before_anything_is_loaded(beside):
    def read(uri):
        assert uri == "cup.jpg"
        return encode_png(image_of())

    for kind in ("mask", "box", "point"):
        with pytest.raises(PromptError, match=f"has no {kind}: put NAME"):
            check_given({"uri": "cup.jpg"}, kind, read)
        check_given({"uri": "other.jpg", "given_mask": beside(mask_of())}, kind, read)
    with pytest.raises(PromptError, match="has no mask"):
        check_given({"uri": "other.jpg", "given_box": [1, 2, 3, 4]}, "mask", read)
    check_given({"uri": "other.jpg", "given_box": [1, 2, 3, 4]}, "box", read)
    check_given({"uri": "other.jpg"}, "saliency", read)
    cut_out = np.dstack([image_of(), mask_of().astype(np.uint8) * 255])
    check_given({"uri": "cup.png"}, "mask", lambda _: encode_png(cut_out))


def test_a_saliency_is_cut_where_it_is_set():
    levels, cut = (
        found(Support("saliency", SALIENCY, threshold=each), {})[0] for each in (None, 0.3)
    )
    assert set(np.unique(cut)) <= {0.0, 1.0}
    # The saliency is kept in 8 bits where it is soft.
    assert np.abs((levels > 0.3).astype(float) - cut)[np.abs(levels - 0.3) > 0.01].max() == 0
    with pytest.raises(PromptError, match=r"lower support\.threshold"):
        found(Support("saliency", Faint(), threshold=0.5), {})


def test_a_box_without_anything_to_turn_it_into_a_mask_is_refused():
    with pytest.raises(PromptError, match=r"set support.segmenter.kind, or give a mask"):
        found(Support("saliency", SALIENCY), {"given_box": [1, 2, 9, 9]}, None, drawn=True)


@pytest.mark.parametrize("kind", ["mask", "saliency", "box", "point"])
def test_a_mask_of_another_size_and_an_empty_one_are_refused(kind, beside):
    support = Support(kind, SALIENCY, Drawn())
    with pytest.raises(PromptError, match=r"cup.mask.png is 9x7 pixels, its image 60x40"):
        found(support, {"given_mask": beside(np.ones((7, 9), bool))})
    with pytest.raises(PromptError, match=r"the mask of cup.jpg is empty: no pixel is object"):
        found(support, {"given_mask": beside(np.zeros(SHAPE, bool))})


def test_a_mask_of_the_stored_pixels_is_turned_as_its_image_is_and_that_is_said(beside):
    stored = np.rot90(mask_of(), 1)  # of a camera held upright: orientation 6
    given_mask = {"given_mask": beside(stored), "orientation": 6}
    mask, source, warning = found(Support("mask"), given_mask)
    np.testing.assert_array_equal(mask > 0.5, mask_of())
    assert source == "mask"
    assert "turned as the image is" in warning


def test_a_segmenter_that_finds_nothing_leaves_no_prompt():
    class Blind(Drawn):
        def decode(self, embedding, *points, **more):
            return Decoded(np.zeros((1, *embedding), bool), np.ones(1), np.zeros((1, 4, 4)))

    with pytest.raises(PromptError, match=r"the mask of cup.jpg is empty"):
        found(Support("box"), {"given_box": [1, 2, 9, 9]}, Blind())


def test_one_bad_prompt_costs_no_other(beside):
    step = Support("mask").step(None, drawn=False)
    good = {"uri": "a.jpg", "image": image_of(), "given_mask": beside(mask_of())}
    rows = run_step(step, [good, {**good, "given_mask": "no address"}, {**good, "uri": "c.jpg"}])
    assert [row.get("error_stage") for row in rows] == [None, "support", None]


def test_of_a_crop_the_same_part_of_the_mask_counts(beside):
    row = {"image": image_of()[5:30, 10:50], "crop": [10, 5, 50, 30]}
    mask, _, _ = found(Support("mask"), {**row, "given_mask": beside(mask_of())})
    assert np.array_equal(mask, mask_of()[5:30, 10:50])


@pytest.mark.parametrize(
    ("mask", "warning"),
    [
        (mask_of(0, 0, 3, 3), r"covers only 0.4% of the image"),
        (mask_of(0, 0, 60, 39), r"covers 98% of the image, so the background may be in it"),
        (mask_of(), None),
    ],
)
def test_an_object_of_unusual_size_comes_with_a_warning(mask, warning, beside):
    answer = found(Support("mask"), {"given_mask": beside(mask)})[2]
    assert answer is None if warning is None else warning in answer


def test_an_image_in_which_nothing_stands_out_is_a_guess_and_says_so():
    class Weak(ClassicalSaliency):
        def isolate(self, image):
            return np.full(image.shape[:2], 128 / 255, np.float32)

    mask, _, warning = found(Support("saliency", Weak()), {})
    assert mask.min() > 0.5
    assert "nothing stands out" in warning
