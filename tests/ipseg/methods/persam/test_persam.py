"""PerSAM from the reference to the mask, against a restatement in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from ipseg.methods.persam.persam import PerSAM
from ipseg.methods.persam.reference import Reference

IMAGES = ["cat", "cup"]


@pytest.fixture(scope="module")
def reference(golden, segmenter, embeddings):
    return PerSAM().describe(segmenter, embeddings[golden.REFERENCE], golden.reference_mask())


def concepts(reference, count):
    """References that differ from each other."""
    shifts = np.random.default_rng(0).standard_normal((count, len(reference.target)))
    return [Reference((reference.target + shift).astype(np.float32)) for shift in shifts]


def test_a_reference_is_the_mean_of_its_object_s_features(reference, numbers):
    np.testing.assert_allclose(reference.target, numbers["persam.target"], atol=1e-5)


@pytest.mark.parametrize("image", IMAGES)
def test_a_target_is_located_as_released(segmenter, embeddings, reference, numbers, image):
    (found,) = PerSAM().locate(segmenter, embeddings[image], [reference])
    np.testing.assert_allclose(found.cosines, numbers[f"persam.{image}.cosines"], atol=1e-5)
    np.testing.assert_allclose(found.attention, numbers[f"persam.{image}.attention"], atol=1e-4)
    assert np.array_equal(found.prompt.coords, numbers[f"persam.{image}.points"])
    assert list(found.prompt.labels) == [1, 0]


@pytest.mark.parametrize("image", IMAGES)
def test_three_passes_give_the_numbers_of_the_restatement(
    recorded, embeddings, reference, numbers, image
):
    embedding = embeddings[image]
    locations = PerSAM().locate(recorded, embedding, [reference])
    (final,) = PerSAM().segment(recorded, embedding, [reference], locations)

    assert [len(answer.masks) for answer in recorded.answers] == [1, 3, 3]
    for number, answer in enumerate(recorded.answers, 1):
        best = int(np.argmax(answer.predicted_iou))
        logits, iou = (numbers[f"persam.{image}.{name}{number}"] for name in ("logits", "iou"))
        np.testing.assert_allclose(answer.low_res_logits[best, ::2, ::2], logits, atol=1e-3)
        np.testing.assert_allclose(answer.predicted_iou, iou, atol=1e-4)
    assert np.array_equal(recorded.prompts[2].box, numbers[f"persam.{image}.box3"])
    wanted = np.unpackbits(numbers[f"persam.{image}.mask3"], count=final.masks.size) > 0
    wanted = wanted.reshape(final.masks.shape)
    assert (final.masks & wanted).sum() >= 0.999 * (final.masks | wanted).sum()
    assert np.array_equal(final.low_res_logits, recorded.answers[2].low_res_logits[best][None])


def test_many_concepts_take_one_encoding_and_three_passes_each(recorded, golden, reference):
    encoded = []
    encoder = recorded._network.image_encoder
    watching = encoder.register_forward_hook(lambda *_: encoded.append(1))
    embedding = recorded.encode([golden.photos()["cup"]])[0]
    several = concepts(reference, 18)  # more than go together
    locations = PerSAM().locate(recorded, embedding, several)
    answers = list(PerSAM().segment(recorded, embedding, several, locations))
    watching.remove()
    assert len(encoded) == 1
    assert len(recorded.answers) == 3 * len(several)

    for index in (0, 17):
        chosen = slice(index, index + 1)
        (location,) = PerSAM().locate(recorded, embedding, several[chosen])
        np.testing.assert_array_equal(location.prompt.coords, locations[index].prompt.coords)
        (alone,) = PerSAM().segment(recorded, embedding, several[chosen], locations[chosen])
        np.testing.assert_array_equal(answers[index].masks, alone.masks)
    assert len({answer.low_res_logits.tobytes() for answer in answers}) == len(several)


def test_where_the_second_mask_is_empty_the_first_is_the_answer(blind, embeddings, reference):
    embedding = embeddings["cup"]
    locations = PerSAM().locate(blind, embedding, [reference])
    (final,) = PerSAM().segment(blind, embedding, [reference], locations)
    first, second = blind.answers
    assert not second.masks.any()
    assert np.array_equal(final.low_res_logits, first.low_res_logits)


def test_no_concept_is_no_mask(segmenter, embeddings):
    assert PerSAM().locate(segmenter, embeddings["cup"], []) == []
    assert list(PerSAM().segment(segmenter, embeddings["cup"], [], [])) == []


@pytest.mark.parametrize("wrong", [{"mask_value": 123}, {"mask_value": 256}, {"topk": 0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PerSAM(), **wrong)
