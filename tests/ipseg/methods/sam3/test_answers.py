"""What becomes of candidates: two on a canvas of 100 pixels whose lower half is the image."""

import numpy as np
import pytest
import torch

from ipseg.methods.sam3.answers import Answer, example_iou
from ipseg.methods.sam3.canvas import Canvas
from ipseg.methods.sam3.network import Candidates

LAYOUT = Canvas(share_of_one=0.5).layout(1, 100)
SIZE = (100, 200)


def candidates(*boxes, scores=(0.9, 0.8, 0.7)):
    """Masks that fill boxes x, y, x, y in shares of the canvas."""
    logits = torch.full((len(boxes), 50, 50), -20.0)
    for plane, (x0, y0, x1, y1) in zip(logits, boxes, strict=True):
        plane[round(y0 * 50) : round(y1 * 50), round(x0 * 50) : round(x1 * 50)] = 20
    return Candidates(torch.tensor(scores[: len(boxes)]), torch.tensor(boxes), logits)


EXAMPLE, OWN = (0.1, 0.1, 0.3, 0.4), (0.6, 0.6, 0.8, 0.9)
LEAKING = (0.4, 0.2, 0.5, 0.6)  # a quarter of it lies on the image


def test_one_mask_of_all_that_lies_on_the_image():
    found = candidates(EXAMPLE, OWN, LEAKING)
    ((mask, score),) = Answer().masks(found, LAYOUT, SIZE)
    assert mask.shape == SIZE
    assert mask[40, 140]
    assert mask[10, 90], "what leaks over the border is part of it, as released"
    assert not mask[:, :70].any(), "the example is not"
    assert score == pytest.approx(0.8)
    ((_, share),) = Answer().masks(candidates(LEAKING), LAYOUT, SIZE)
    assert share == pytest.approx(0.9 * 0.25, abs=0.02), "but it is no evidence for much"


def test_instances_are_those_with_most_of_their_mask_on_the_image():
    found = candidates(EXAMPLE, OWN, LEAKING)
    ((mask, score),) = Answer(task="instance").masks(found, LAYOUT, SIZE)
    expected = np.zeros(SIZE, bool)
    expected[20:80, 120:160] = True
    assert (mask != expected).mean() < 0.02
    assert score == pytest.approx(0.8)


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_nothing_on_the_image_is_nothing(task):
    for found in (candidates(EXAMPLE), candidates()):
        assert not list(Answer(task=task).masks(found, LAYOUT, SIZE))


def test_whether_the_example_is_found_itself():
    given = np.array([EXAMPLE], np.float32)
    assert example_iou(candidates(OWN, EXAMPLE), given) == pytest.approx(1)
    assert example_iou(candidates(OWN), given) == 0
    assert example_iou(candidates(), given) == 0
