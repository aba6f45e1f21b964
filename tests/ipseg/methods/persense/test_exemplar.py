"""Where the first exemplar is looked for."""

import numpy as np

from ipseg.methods.persense.exemplar import centre, initial_point, most_similar

MAP = np.zeros((20, 30), np.float32)
MAP[5, 7], MAP[15, 25] = 0.5, 0.9


def test_corners_are_cut_before_the_middle_is_taken():
    assert centre([10.7, 20.2, 61.9, 84.6]) == (35, 52)
    assert centre([0, 0, 5, 6]) == (2, 3)


def test_the_most_similar_pixel_is_looked_for_in_the_box():
    assert most_similar(MAP) == (25, 15)
    assert most_similar(MAP, [0.0, 0, 10.2, 10.9]) == (7, 5)
    assert most_similar(MAP, [-20, -20, 300, 300]) == (25, 15)
    assert most_similar(MAP, [40, 50, 60, 70]) == (29, 19)  # beyond the image: its nearest pixel


def test_without_a_box_both_ways_are_the_same():
    assert initial_point(MAP, None, "released") == (25, 15) == initial_point(MAP, None, "paper")
    box = [2, 2, 12, 12]
    assert initial_point(MAP, box, "released") == (7, 7)
    assert initial_point(MAP, box, "paper") == (7, 5)
    assert initial_point(MAP, [28, 18, 99, 99], "released") == (29, 19)
