"""Masks that share no pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ipseg.vision.exclusive import without_overlap
from ipseg.vision.masks import decode_rle, encode_rle

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(st.data())
def test_disjoint_and_nothing_lost(data):
    size = data.draw(sizes)
    masks = data.draw(st.lists(arrays(bool, size), max_size=6))
    left = without_overlap([encode_rle(mask) for mask in masks])
    taken = np.zeros(size, bool)
    for mask, each in zip(masks, left, strict=True):
        mine = mask & ~taken
        if each is None:
            assert not mine.any()
        else:
            np.testing.assert_array_equal(decode_rle(each), mine)
        taken |= mask


def test_a_mask_that_loses_nothing_is_left_as_it_was():
    mask = np.zeros((4, 5), bool)
    mask[:2] = True
    rles = [encode_rle(mask), encode_rle(~mask)]
    assert without_overlap(rles) == rles


def test_masks_of_other_sizes_are_refused():
    rles = [encode_rle(np.ones((2, 3), bool)), encode_rle(np.ones((3, 2), bool))]
    with pytest.raises(ValueError, match="different sizes"):
        without_overlap(rles)
