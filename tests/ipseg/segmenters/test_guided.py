"""The mask decoder guided by a target; its numbers are tested with PerSAM's."""

import numpy as np
import pytest
import skimage.data

from ipseg.segmenters import FeatureSegmenter, GuidedSegmenter
from ipseg.segmenters.hf_sam import HFSam
from ipseg.segmenters.prompt import Guidance, PointPrompt
from ipseg.segmenters.segment_anything import SegmentAnything


@pytest.fixture(scope="module")
def segmenter(sam_pth, models):
    segmenter = SegmentAnything(weights=sam_pth)
    segmenter.setup(models)
    return segmenter


@pytest.fixture(scope="module")
def embedding(segmenter):
    return segmenter.encode([skimage.data.coffee()[::2, ::2]])[0]


@pytest.fixture(scope="module")
def prompts(golden):
    """Two of one form, and one with a box and logits between them."""
    logits = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    box = np.array([30, 20, 200, 150.5])
    return [
        PointPrompt(golden.POINTS, golden.LABELS),
        PointPrompt(golden.POINTS[:2], golden.LABELS[:2], box, logits),
        PointPrompt(golden.POINTS + 9, golden.LABELS),
    ]


@pytest.fixture(scope="module")
def guidance():
    random = np.random.default_rng(1)
    return [
        Guidance(random.random((16, 16), np.float32), random.standard_normal(64, np.float32))
        for _ in range(3)
    ]


def test_what_can_be_guided_says_so():
    assert isinstance(SegmentAnything(), GuidedSegmenter)
    assert isinstance(HFSam(), FeatureSegmenter)
    assert not isinstance(HFSam(), GuidedSegmenter)


@pytest.mark.parametrize("multimask", [True, False])
def test_prompts_together_are_as_each_alone(
    segmenter, embedding, prompts, guidance, multimask, monkeypatch
):
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(segmenter, "_at_once", None)
        together = segmenter.decode_guided(embedding, prompts, guidance, multimask=multimask)
    for prompt, guide, answer in zip(prompts, guidance, together, strict=True):
        (alone,) = segmenter.decode_guided(embedding, [prompt], [guide], multimask=multimask)
        assert answer.masks.shape == (3 if multimask else 1, 200, 300)
        np.testing.assert_allclose(answer.low_res_logits, alone.low_res_logits, atol=1e-4)
        np.testing.assert_allclose(answer.predicted_iou, alone.predicted_iou, atol=1e-5)


def test_only_differences_of_attention_count(segmenter, embedding, prompts, guidance):
    raised = [Guidance(each.attention + np.float32(0.7), each.target) for each in guidance]
    turned = [Guidance(each.attention.T.copy(), each.target) for each in guidance]
    one, same, other = (
        segmenter.decode_guided(embedding, prompts, each) for each in (guidance, raised, turned)
    )
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_allclose(a.low_res_logits, b.low_res_logits, atol=1e-4)
        assert np.abs(a.low_res_logits - c.low_res_logits).max() > 1e-3


def test_the_network_goes_on_to_decode_plain_prompts(segmenter, embedding, prompts, guidance):
    before = segmenter.decode_many(embedding, prompts)
    guided = segmenter.decode_guided(embedding, prompts, guidance)
    after = segmenter.decode_many(embedding, prompts)
    for a, b, c in zip(before, after, guided, strict=True):
        assert np.array_equal(a.low_res_logits, b.low_res_logits)
        assert np.abs(a.low_res_logits - c.low_res_logits).max() > 0.1


def test_guidance_that_does_not_fit_is_refused(segmenter, embedding, prompts, guidance):
    with pytest.raises(ValueError, match="3 prompts with 2"):
        segmenter.decode_guided(embedding, prompts, guidance[:2])
    wide = [Guidance(np.zeros((16, 8), np.float32), each.target) for each in guidance]
    with pytest.raises(ValueError, match=r"\(64, 16, 8\) for features \(64, 16, 16\)"):
        segmenter.decode_guided(embedding, prompts, wide)
