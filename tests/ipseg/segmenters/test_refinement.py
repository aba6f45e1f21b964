"""One pass or three."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.segmenters.refinement import Refinement, tight_box
from ipseg.segmenters.segment_anything import SegmentAnything

MAP = np.zeros((60, 60), np.float32)


class Recorded:
    """A segmenter that records prompts and results."""

    def __init__(self, segmenter):
        self.segmenter, self.prompts, self.results = segmenter, [], []

    def decode(self, embedding, point_coords, point_labels, **prompt):
        self.prompts.append(prompt)
        answer = self.segmenter.decode(embedding, point_coords, point_labels, **prompt)
        self.results.append(answer)
        return answer


def run(refinement, segmenter, embedding, point_coords, point_labels, similarity=MAP):
    prompt = PointPrompt(point_coords, point_labels)
    return next(refinement.run_many(segmenter, embedding, [prompt], [similarity]))


@pytest.fixture(scope="module")
def segmenter(sam_pth, models):
    segmenter = SegmentAnything(weights=sam_pth, aspect="squash")
    segmenter.setup(models)
    return segmenter


def test_three_passes_give_the_numbers_of_three_full_runs_of_the_package(segmenter, golden):
    numbers = np.load(f"{golden.__file__.removesuffix('make_sam.py')}sam.npz")
    recorded = Recorded(segmenter)
    embedding = segmenter.encode([golden.photo()])[0]
    final = run(Refinement(passes=3), recorded, embedding, golden.POINTS, golden.LABELS)

    for index, answer in enumerate(recorded.results, 1):
        best = int(np.argmax(answer.predicted_iou))
        mask = np.unpackbits(numbers[f"mask{index}"]).reshape(answer.masks.shape[1:]) > 0
        np.testing.assert_allclose(answer.low_res_logits, numbers[f"logits{index}"], atol=1e-3)
        np.testing.assert_allclose(answer.predicted_iou, numbers[f"iou{index}"], atol=1e-4)
        assert (answer.masks[best] & mask).sum() / (answer.masks[best] | mask).sum() >= 0.999
    assert len(recorded.results) == 3
    assert np.array_equal(recorded.prompts[2]["boxes"], numbers["box"])
    best = int(np.argmax(recorded.results[2].predicted_iou))
    assert np.array_equal(final.masks, recorded.results[2].masks[best : best + 1])
    assert final.predicted_iou == recorded.results[2].predicted_iou[best]


def test_each_pass_gets_the_result_of_the_previous_one(segmenter, golden):
    recorded = Recorded(segmenter)
    embedding = segmenter.encode([golden.photo()])[0]
    run(Refinement(passes=3), recorded, embedding, golden.POINTS, golden.LABELS)
    first, second, third = recorded.prompts
    assert first == {"boxes": None, "mask_input": None, "multimask": False}
    assert np.array_equal(second["mask_input"], recorded.results[0].low_res_logits[0])
    assert second["boxes"] is None
    assert second["multimask"]
    pick = int(np.argmax(recorded.results[1].predicted_iou))
    assert np.array_equal(third["mask_input"], recorded.results[1].low_res_logits[pick])


def test_the_box_is_exact_in_the_frame_for_any_image_size(segmenter, golden):
    import cv2

    photo = cv2.resize(golden.photo(), (173, 331))
    recorded = Recorded(segmenter)
    embedding = segmenter.encode([photo])[0]
    rows, columns = embedding.frame.inside
    points = (golden.POINTS * (173 / columns, 331 / rows)).astype(np.float32)
    run(Refinement(passes=3), recorded, embedding, points, golden.LABELS)
    second = recorded.results[1]
    seen = second.frame_masks[np.argmax(second.predicted_iou)]
    box = embedding.frame.from_image(recorded.prompts[2]["boxes"].reshape(2, 2)).ravel()
    assert np.array_equal(box.astype(np.float32), tight_box(seen))


def test_one_pass_returns_all_candidates(segmenter, golden):
    embedding = segmenter.encode([golden.photo()])[0]
    decoded = run(Refinement(), segmenter, embedding, golden.POINTS, golden.LABELS)
    plain = segmenter.decode(embedding, golden.POINTS, golden.LABELS)
    assert len(decoded.masks) == 3
    assert np.array_equal(decoded.low_res_logits, plain.low_res_logits)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_batch_of_prompts_equals_single_prompts(segmenter, golden, passes, monkeypatch):
    embedding = segmenter.encode([golden.photo()])[0]
    prompts = [
        PointPrompt(golden.POINTS, golden.LABELS),
        PointPrompt(golden.POINTS[1:], golden.LABELS[1:]),  # fewer points
        PointPrompt(golden.POINTS + 9, golden.LABELS),
    ]
    refinement = Refinement(passes=passes)
    many = prompts * 7  # more than a batch
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(segmenter, "_at_once", None)
        together = list(refinement.run_many(segmenter, embedding, many, [MAP] * 21))
    assert len(together) == 21
    together = together[-3:]
    for prompt, answer in zip(prompts, together, strict=True):
        alone = run(refinement, segmenter, embedding, prompt.coords, prompt.labels)
        np.testing.assert_allclose(answer.low_res_logits, alone.low_res_logits, atol=1e-4)
        np.testing.assert_allclose(answer.predicted_iou, alone.predicted_iou, atol=1e-5)
        assert (answer.masks != alone.masks).mean() < 1e-4


@pytest.mark.parametrize(("prior", "given_map"), [("none", False), ("similarity", True)])
def test_the_similarity_map_is_a_prompt_only_if_set(segmenter, golden, prior, given_map):
    recorded = Recorded(segmenter)
    embedding = segmenter.encode([golden.photo()])[0]
    own = np.ones((64, 64), np.float32)
    run(Refinement(prior=prior), recorded, embedding, golden.POINTS, golden.LABELS, own)
    assert (recorded.prompts[0]["mask_input"] is own) is given_map


def answered(mask, frame_mask=None):
    frame = None if frame_mask is None else frame_mask[None]
    return Decoded(mask[None], np.ones(1, np.float32), np.zeros((1, 4, 4), np.float32), frame)


@pytest.mark.parametrize(
    ("empty_box", "corners"), [("full", (0, 0, 31, 15)), ("degenerate", (0, 15, 0, 15))]
)
def test_nothing_found_in_the_second_pass(empty_box, corners):
    nothing = answered(np.zeros((16, 32), bool))
    assert tuple(Refinement(empty_box=empty_box).box(nothing)) == corners


def test_the_box_is_measured_in_the_frame_and_given_in_the_image():
    frame = np.zeros((16, 16), bool)
    frame[3:9, 2:5] = True
    assert tuple(Refinement().box(answered(np.ones((8, 40), bool), frame))) == (5, 1.5, 10, 4)


@given(mask=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_a_tight_box_holds_every_pixel_and_cannot_be_smaller(mask):
    box = tight_box(mask)
    if box is None:
        assert not mask.any()
        return
    left, top, right, bottom = box.astype(int)
    assert mask[top : bottom + 1, left : right + 1].sum() == mask.sum()
    for edge in (mask[top], mask[bottom], mask[:, left], mask[:, right]):
        assert edge.any()
