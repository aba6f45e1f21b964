"""Boxes, points and masks of supports of any shape."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.benchmarks.ground_truth import rle_address
from ipseg.steps.support import FindSupport, box_of, innermost
from ipseg.vision.masks import encode_rle, read_soft_mask

filled = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(
    lambda mask: mask.any()
)


@given(filled)
def test_a_box_of_a_mask_is_as_small_as_can_be(mask):
    x0, y0, x1, y1 = (int(v) for v in box_of(mask))
    assert mask[y0 : y1 + 1, x0 : x1 + 1].sum() == mask.sum()
    for edge in (mask[y0], mask[y1], mask[:, x0], mask[:, x1]):
        assert edge.any()


@given(filled)
def test_the_innermost_point_is_on_the_object_and_no_pixel_is_farther_in(mask):
    ((x, y),) = [(int(p["x"]), int(p["y"])) for p in innermost(mask)]
    assert mask[y, x]
    outside = np.argwhere(~np.pad(mask, 1)) - 1  # beyond the image there is no object

    def depth(row, column):
        return np.hypot(*(outside - (row, column)).T).min()

    assert depth(y, x) >= max(depth(*place) for place in np.argwhere(mask)) - 1e-3


@given(st.sampled_from(["mask", "saliency", "none"]), filled)
def test_the_mask_is_stored_as_it_was_found(kind, mask):
    row = {"uri": "", "image": np.zeros((*mask.shape, 3), np.uint8)}
    row["given_mask"] = rle_address(encode_rle(mask))
    (done,) = FindSupport(kind=kind)([row])
    expected = np.ones_like(mask) if kind == "none" else mask
    assert np.array_equal(read_soft_mask(done["support_mask"]) > 0.5, expected)
