"""Refining in the box of what was found."""

import numpy as np

from ipseg.methods.persam.cascade import refine_in_box
from ipseg.segmenters.prompt import Decoded, PointPrompt


def test_only_prompts_for_which_something_was_found_are_asked_again(recorded, embeddings):
    points = [np.array([[x, 60]], np.float32) for x in (40, 60, 80)]
    prompts = [PointPrompt(coords, np.array([1])) for coords in points]
    embedding = embeddings["cat"]
    found = []
    for number in range(3):
        masks = np.zeros((1, *embedding.frame.image), bool)
        masks[0, 20:30, 50 : 60 * (number != 1)] = True
        logits = np.full((1, 64, 64), number, np.float32)
        found.append(Decoded(masks, np.zeros(1, np.float32), logits))
    first, second, third = refine_in_box(recorded, embedding, prompts, found, found)

    assert second is found[1]
    assert [prompt.coords[0, 0] for prompt in recorded.prompts] == [40, 80]
    for prompt, answer, given, full in zip(
        recorded.prompts, (first, third), (found[0], found[2]), recorded.answers, strict=True
    ):
        assert list(prompt.box) == [50, 20, 59, 29]
        assert np.array_equal(prompt.mask_input, given.low_res_logits[0])
        best = np.argmax(full.predicted_iou)
        assert np.array_equal(answer.low_res_logits[0], full.low_res_logits[best])
