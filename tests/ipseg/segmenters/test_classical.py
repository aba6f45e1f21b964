import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.saliency.foreground import overlap
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.segmenters.prompt import PointPrompt


def disc(centre=(100, 80), radius=40, shape=(160, 240)):
    random = np.random.default_rng(0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    image = np.where(truth[..., None], (190, 60, 50), (60, 110, 150))
    return np.clip(image + random.normal(0, 8, image.shape), 0, 255).astype(np.uint8), truth


def answer(decoded):
    return decoded.masks[int(np.argmax(decoded.predicted_iou))]


def points(*xy):
    return np.array(xy, np.float32).reshape(-1, 2)


@pytest.mark.parametrize(
    ("xy", "labels"),
    [
        (points((100, 80)), [1]),
        (points((100, 80), (20, 20), (220, 140)), [1, 0, 0]),
        (points((85, 70), (115, 95), (20, 20)), [1, 1, 0]),
    ],
)
def test_points_on_a_disc_give_the_disc(xy, labels):
    image, truth = disc()
    segmenter = ClassicalSegmenter()
    decoded = segmenter.decode(segmenter.encode([image])[0], xy, np.array(labels))
    assert overlap(answer(decoded), truth) > 0.9
    assert decoded.predicted_iou.max() > 0.7


def test_a_dense_map_and_points_choose_one_of_two_discs():
    left, truth_left = disc(centre=(60, 80), radius=30)
    right, truth_right = disc(centre=(180, 80), radius=30)
    image = np.where(truth_right[..., None], right, left)
    segmenter = ClassicalSegmenter()
    embedding = segmenter.encode([image])[0]
    for truth, x in ((truth_left, 60), (truth_right, 180)):
        evidence = cv2.resize(np.where(truth, 6.0, 0.0).astype(np.float32), (60, 40))
        decoded = segmenter.decode(
            embedding, points((x, 80), (10, 10)), np.array([1, 0]), mask_input=evidence
        )
        assert overlap(answer(decoded), truth) > 0.9


def test_an_object_that_fills_the_frame_needs_the_map_against_the_border():
    image, truth = disc(centre=(60, 150), radius=130)
    segmenter = ClassicalSegmenter(border_prior=0.3)
    evidence = cv2.resize(np.where(truth, 4.0, 0.0).astype(np.float32), (60, 40))
    decoded = segmenter.decode(
        segmenter.encode([image])[0],
        points((60, 100), (230, 10)),
        np.array([1, 0]),
        mask_input=evidence,
    )
    assert overlap(answer(decoded), truth) > 0.9


def test_decoding_does_not_depend_on_earlier_calls():
    image = data.coffee()
    segmenter = ClassicalSegmenter()
    embedding = segmenter.encode([image])[0]
    question = points((300, 150), (20, 380)), np.array([1, 0])
    first = segmenter.decode(embedding, *question)
    cv2.setRNGSeed(5)
    segmenter.decode(embedding, points((550, 50)), np.array([1]))
    second = segmenter.decode(embedding, *question)
    fresh = segmenter.decode(segmenter.encode([data.rocket(), image])[1], *question)
    for other in (second, fresh):
        assert np.array_equal(first.masks, other.masks)
        assert np.array_equal(first.predicted_iou, other.predicted_iou)
        assert np.array_equal(first.low_res_logits, other.low_res_logits)


def test_one_mask_is_the_best_of_several():
    image, _ = disc()
    segmenter = ClassicalSegmenter()
    embedding = segmenter.encode([image])[0]
    question = points((100, 80), (20, 20)), np.array([1, 0])
    several = segmenter.decode(embedding, *question)
    single = segmenter.decode(embedding, *question, multimask=False)
    assert single.masks.shape == (1, 160, 240)
    assert np.array_equal(single.masks[0], answer(several))


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300), (300, 40)])
@pytest.mark.parametrize("labels", [[], [1], [0], [1, 0]])
def test_hard_cases_have_their_shapes_and_ranges(shape, labels):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    corners = points((0, 0), (shape[1], shape[0]))[: len(labels)]
    segmenter = ClassicalSegmenter(long_side=160)
    for each in (image, np.zeros_like(image)):
        for evidence in (None, np.zeros((3, 4), np.float32)):
            decoded = segmenter.decode(
                segmenter.encode([each])[0], corners, np.array(labels), mask_input=evidence
            )
            assert decoded.masks.shape == (2, *shape)
            assert np.isfinite(decoded.low_res_logits).all()
            assert ((decoded.predicted_iou >= 0) & (decoded.predicted_iou <= 1)).all()


def prompt(x, *others, mask_input=None):
    coords = points((x, 80), *((other, 80) for other in others), (10, 10))
    labels = np.array([1] + [0] * (len(coords) - 1))
    return PointPrompt(coords, labels, mask_input=mask_input)


@pytest.mark.parametrize(("left", "right"), [(60, 180), (85, 145), (91, 149)])
def test_objects_that_look_alike_are_parted_even_if_they_touch(left, right):
    one, truth_left = disc(centre=(left, 80), radius=30)
    other, truth_right = disc(centre=(right, 80), radius=30)
    image = np.where(truth_right[..., None], other, one)
    segmenter = ClassicalSegmenter()
    prompts = [prompt(left, right), prompt(right, left)]
    found = [answer(each) for each in segmenter.decode_apart(segmenter.encode([image])[0], prompts)]
    assert overlap(found[0], truth_left) > 0.8
    assert overlap(found[1], truth_right) > 0.8
    assert (found[0] & found[1]).mean() < 0.001


def test_each_of_several_has_its_own_quality_and_map():
    image, truth = disc(centre=(60, 80), radius=30)
    segmenter = ClassicalSegmenter()
    embedding = segmenter.encode([image])[0]
    maps = [np.zeros((16, 24), np.float32) for _ in range(2)]
    maps[0][5:11, 3:9], maps[1][5:11, 16:20] = 5, 1
    on, off = segmenter.decode_apart(
        embedding, [prompt(60, 180, mask_input=maps[0]), prompt(180, 60, mask_input=maps[1])]
    )
    assert on.masks.shape == off.masks.shape == (1, *image.shape[:2])
    assert overlap(on.masks[0], truth) > 0.8
    assert on.predicted_iou[0] > off.predicted_iou[0]


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300)])
def test_hard_cases_can_be_parted_as_well(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    segmenter = ClassicalSegmenter(long_side=160)
    corner = PointPrompt(points((0, 0)), np.array([1]))
    for decoded in segmenter.decode_apart(segmenter.encode([image])[0], [corner, corner]):
        assert decoded.masks.shape == (1, *shape)
        assert 0 <= decoded.predicted_iou[0] <= 1
        assert np.isfinite(decoded.low_res_logits).all()
