import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.saliency.foreground import overlap
from ipseg.segmenters.classical import ClassicalSegmenter


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
