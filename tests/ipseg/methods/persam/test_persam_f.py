"""PerSAM-F from the tuning to the mask, against a restatement in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from ipseg.methods.persam.persam_f import PerSAMF, TunedReference, weighted


@pytest.fixture(scope="module")
def reference(golden, segmenter, embeddings):
    return PerSAMF().describe(segmenter, embeddings[golden.REFERENCE], golden.reference_mask())


def test_the_weights_are_those_of_the_restatement(reference, numbers):
    np.testing.assert_allclose(reference.target, numbers["persam_f.target"], atol=1e-5)
    np.testing.assert_allclose(reference.weights, numbers["persam_f.weights"], atol=1e-4)
    assert reference.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("image", ["cat", "cup"])
def test_three_passes_give_the_numbers_of_the_restatement(
    recorded, embeddings, reference, numbers, image
):
    embedding = embeddings[image]
    locations = PerSAMF().locate(recorded, embedding, [reference])
    (final,) = PerSAMF().segment(recorded, embedding, [reference], locations)

    def known(name):
        return numbers[f"persam_f.{image}.{name}"]

    assert np.array_equal(locations[0].prompt.coords, known("points"))
    assert list(locations[0].prompt.labels) == [1]
    first = weighted(recorded.answers[0], reference.weights, embedding)
    np.testing.assert_allclose(first.low_res_logits[0, ::2, ::2], known("logits1"), atol=1e-3)
    assert len(recorded.answers) == 3
    for number, answer in enumerate(recorded.answers[1:], 2):
        best = int(np.argmax(answer.predicted_iou))
        logits = answer.low_res_logits[best, ::2, ::2]
        np.testing.assert_allclose(logits, known(f"logits{number}"), atol=1e-3)
        np.testing.assert_allclose(answer.predicted_iou, known(f"iou{number}"), atol=1e-4)
        assert np.array_equal(recorded.prompts[number - 1].box, known(f"box{number}"))
    for answer, name in ((first, "mask1"), (final, "mask3")):
        wanted = np.unpackbits(known(name), count=answer.masks.size) > 0
        wanted = wanted.reshape(answer.masks.shape)
        assert (answer.masks & wanted).sum() >= 0.999 * (answer.masks | wanted).sum()


def test_an_empty_mask_of_any_pass_makes_the_first_one_the_answer(blind, embeddings, reference):
    weights = np.full(3, 1 / 3, np.float32)
    several = [TunedReference(reference.target, w) for w in (weights, -weights)]
    embedding = embeddings["cup"]
    locations = PerSAMF().locate(blind, embedding, several)
    empty, full = PerSAMF().segment(blind, embedding, several, locations)
    assert not empty.masks.any()
    assert full.masks.all()
    assert np.array_equal(full.low_res_logits, -empty.low_res_logits)
    # Only the second concept, whose first mask is not empty, was asked again.
    assert [prompt.box is None for prompt in blind.prompts] == [True, True, False]
    assert not blind.answers[2].masks.any()


def test_many_concepts_take_three_passes_each(recorded, embeddings, reference):
    shifts = np.random.default_rng(0).standard_normal((18, len(reference.target)))
    second = np.array([0, 1, 0], np.float32)  # which is never empty here
    several = [
        TunedReference((reference.target + shift).astype(np.float32), second) for shift in shifts
    ]
    embedding = embeddings["cup"]
    locations = PerSAMF().locate(recorded, embedding, several)
    answers = list(PerSAMF().segment(recorded, embedding, several, locations))
    assert len(recorded.answers) == 3 * 18
    (alone,) = PerSAMF().segment(recorded, embedding, several[17:], locations[17:])
    assert np.array_equal(answers[17].masks, alone.masks)


def test_tuning_takes_one_pass_of_the_decoder(recorded, golden, embeddings):
    embedding = embeddings[golden.REFERENCE]
    PerSAMF(iterations=5).describe(recorded, embedding, golden.reference_mask())
    assert len(recorded.prompts) == 1


@pytest.mark.parametrize("wrong", [{"iterations": -1}, {"learning_rate": 0}, {"topk": 0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PerSAMF(), **wrong)
