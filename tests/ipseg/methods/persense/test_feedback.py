"""Which masks become exemplars."""

import pytest

from ipseg.methods.persense.feedback import Feedback

SCORES = [0.7, 0.8, 0.75, 0.99]


def test_the_first_exemplar_stays_and_the_best_follow():
    assert Feedback().chosen(SCORES, 4) == [0, 4, 2, 3]
    assert Feedback().chosen(SCORES, 3) == [0, 4, 2]
    assert Feedback().chosen([], 4) == [0]


def test_equal_scores_keep_their_order():
    assert Feedback().chosen([0.8, 0.9, 0.8, 0.9], 5) == [0, 2, 4, 1, 3]


def test_a_setting_takes_fewer_but_not_more_than_the_counter():
    assert Feedback(exemplars=2).chosen(SCORES, 4) == [0, 4]
    assert Feedback(exemplars=9).chosen(SCORES, 3) == [0, 4, 2]


@pytest.mark.parametrize(
    ("scores", "rows"),
    [
        ([], [0]),
        ([0.9], [0, 1]),
        ([0.7, 0.9], [0, 2]),  # 1 comes after 2, which was written last
        ([0.9, 0.7], [0, 1, 2]),  # nothing comes after 2
        (SCORES, [0, 4, 3, 1]),
    ],
)
def test_the_released_file_loses_what_follows_the_last_one_written(scores, rows):
    assert Feedback(feedback_file="released").chosen(scores, 4) == rows
