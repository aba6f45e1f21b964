import io

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.vision.images import encode_png
from ipseg.vision.masks import decode_rle, encode_rle, read_soft_mask, rle_area, rle_bbox

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
HORSE = ~skimage.data.horse().astype(bool)


@settings(deadline=None)
@given(MASKS)
def test_round_trip_area_and_box(mask):
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    assert isinstance(rle["counts"], str)
    assert rle["counts"].isascii()
    np.testing.assert_array_equal(decode_rle(rle), mask)
    assert rle_area(rle) == mask.sum()
    x, y, width, height = rle_bbox(rle)
    if not mask.any():
        assert (x, y, width, height) == (0, 0, 0, 0)
        return
    rows, columns = np.nonzero(mask)
    assert (x, y) == (columns.min(), rows.min())
    assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)


def test_a_real_silhouette():
    rle = encode_rle(HORSE)
    decoded = decode_rle(rle)
    assert decoded.dtype == bool
    np.testing.assert_array_equal(decoded, HORSE)
    assert all(isinstance(v, float) for v in rle_bbox(rle))
    assert isinstance(rle_area(rle), int)


@pytest.mark.parametrize("fill", [False, True])
def test_long_runs(fill):
    mask = np.full((3000, 5000), fill)
    rle = encode_rle(mask)
    np.testing.assert_array_equal(decode_rle(rle), mask)
    assert rle_area(rle) == mask.sum()


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros(4, bool)])
def test_only_bool_planes_are_masks(wrong):
    with pytest.raises(ValueError, match="bool"):
        encode_rle(wrong)


@pytest.mark.parametrize(
    ("rle", "reason"),
    [
        ({"size": [4, 4], "counts": ""}, "empty"),
        ({"size": [4, 4], "counts": [16]}, "not ASCII"),
        ({"size": [4, 4], "counts": "é"}, "not ASCII"),
        ({"size": [4, 4], "counts": "4\x00"}, "character outside"),
        ({"size": [4, 4], "counts": "4 "}, "character outside"),
        ({"size": [4, 4], "counts": "P"}, "truncated"),
        ({"size": [4, 4], "counts": "o" * 20 + "0"}, "too long"),
        ({"size": [4, 4], "counts": "4"}, "sum to 4"),
        ({"size": [4, 5], "counts": "`0"}, "sum to 16"),
        ({"size": [4, 4], "counts": "O5<"}, "do not fill"),  # -1 + 5 + 12 = 16
        ({"size": [4], "counts": "4"}, "not .height, width."),
        ({"size": [0, 4], "counts": "0"}, "not .height, width."),
        ({"size": [2**20, 2**20], "counts": "4"}, "not .height, width."),
    ],
)
def test_damaged_encodings_are_refused_before_they_reach_c(rle, reason):
    for read in (decode_rle, rle_area, rle_bbox):
        with pytest.raises(ValueError, match=reason):
            read(rle)


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_random_counts_never_crash(counts, height, width):
    try:
        mask = decode_rle({"size": [height, width], "counts": counts})
    except ValueError:
        return
    assert mask.shape == (height, width)


@settings(deadline=None)
@given(MASKS, st.data())
def test_one_changed_character_is_refused_or_decodes(mask, data):
    rle = encode_rle(mask)
    place = data.draw(st.integers(0, len(rle["counts"]) - 1))
    letter = chr(data.draw(st.integers(48, 111)))
    damaged = rle["counts"][:place] + letter + rle["counts"][place + 1 :]
    try:
        decoded = decode_rle({"size": rle["size"], "counts": damaged})
    except ValueError:
        return
    assert decoded.shape == mask.shape
    assert decoded.sum() == rle_area({"size": rle["size"], "counts": damaged})


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_soft_masks_keep_their_levels():
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    soft = read_soft_mask(encode_png(levels))
    assert soft.dtype == np.float32
    np.testing.assert_array_equal(np.round(soft * 255), levels)
    assert (soft.min(), soft.max()) == (0, 1)
    with pytest.raises(ImageError, match="8-bit grey"):
        read_soft_mask(png(PillowImage.new("RGB", (9, 9))))
