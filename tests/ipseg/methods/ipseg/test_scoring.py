import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.methods.ipseg.scoring import Scoring, similarity_statistics
from ipseg.segmenters.prompt import Decoded

shares = st.floats(0, 1)


def decoded(masks, predicted_iou):
    shape = (len(masks), 4, 4)
    return Decoded(np.array(masks, bool), np.array(predicted_iou, np.float32), np.zeros(shape))


@given(shares, shares, st.floats(-2, 3))
def test_a_score_is_a_share_and_presence_only_lowers_it(weight, presence, predicted_iou):
    quality = min(1.0, max(0.0, predicted_iou))
    score = Scoring(presence=weight).score(predicted_iou, presence)
    assert 0 <= score <= quality + 1e-12
    assert Scoring().score(predicted_iou, presence) == quality, "as published"
    assert Scoring(presence=1).score(predicted_iou, presence) == pytest.approx(quality * presence)


def test_the_best_is_the_highest_of_those_that_have_a_pixel():
    empty, one, full = np.zeros((2, 2)), np.eye(2), np.ones((2, 2))
    assert Scoring().best(decoded([full, one], [0.2, 0.7])) == 1
    assert Scoring().best(decoded([one, empty, full], [-0.5, 0.9, -0.2])) == 2
    assert Scoring().best(decoded([empty, empty], [0.2, 0.7])) is None


def test_statistics_of_a_map_inside_and_outside_of_a_mask():
    similarity = np.array([[1, 2], [3, 6]], np.float32)
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    assert similarity_statistics(similarity, mask) == {
        **{"similarity_max": 6, "similarity_inside": 4, "similarity_outside": 2}
    }
    everywhere = similarity_statistics(similarity, np.ones((20, 20), bool))
    assert (everywhere["similarity_inside"], everywhere["similarity_outside"]) == (3, None)
    speck = np.zeros((20, 20), bool)
    speck[0, 0] = True
    assert similarity_statistics(similarity, speck)["similarity_inside"] is None
