"""What is stored of a prompt beside its features."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from ipseg.steps.prompt import THUMBNAIL_SIDE, KeepPrompt, Thumbnail
from ipseg.vision.images import decode, encode_png
from ipseg.vision.masks import decode_rle


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_the_pixels_that_are_more_object_than_not_are_its_mask(levels):
    features = {"v": np.arange(3)}
    row = {
        **{"support_mask": encode_png(levels), "mask_source": "saliency", "warning": "small"},
        "prompt_features": features,
    }
    (done,) = KeepPrompt()([row])
    (kept,) = done["prompts"]
    assert np.array_equal(decode_rle(kept.pop("mask")), levels >= 128)
    assert kept == {
        **{"chain": "", "mask_source": "saliency", "warning": "small", "features": features}
    }


def test_a_concept_that_is_given_by_its_name_has_no_mask():
    (row,) = KeepPrompt()([{"prompt_features": {}}])
    (kept,) = row["prompts"]
    assert kept["mask"] is kept["mask_source"] is kept["warning"] is None


def test_a_thumbnail_is_small_and_the_hash_is_that_of_the_file():
    image = np.zeros((100, 1000, 3), np.uint8)
    (row,) = Thumbnail()([{"image": image, "image_bytes": b"encoded"}])
    assert decode(row["thumbnail"]).shape == (THUMBNAIL_SIDE // 10, THUMBNAIL_SIDE, 3)
    assert row["image_sha256"] == hashlib.sha256(b"encoded").hexdigest()
