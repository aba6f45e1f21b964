"""Alpha that varies says what the object of an image is, and of a prompt."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ipseg.benchmarks.ground_truth import rle_address
from ipseg.errors import ImageError, PromptError
from ipseg.networks.models import Models
from ipseg.runner import run_local
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.steps.decode import Decode
from ipseg.steps.support import Support
from ipseg.vision.cut_out import read_cut_out
from ipseg.vision.masks import encode_rle, read_soft_mask

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 4), np.uint8)
PIXELS[..., 3] = np.where(np.arange(60) < 25, 200, 90)
OPAQUE = PIXELS[..., 3] == 200


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_opaque_part_is_the_object_upright(kind):
    np.testing.assert_array_equal(read_cut_out(encoded(PIXELS, kind)), OPAQUE)
    turned = Image.Exif()
    turned[274] = 6
    stored = encoded(PIXELS, kind, exif=turned)
    np.testing.assert_array_equal(read_cut_out(stored), np.rot90(OPAQUE, -1))


def test_a_transparent_colour_of_a_palette_is_alpha_too():
    palette = Image.fromarray(OPAQUE.astype(np.uint8)).convert("P")
    buffer = io.BytesIO()
    palette.save(buffer, "GIF", transparency=0)
    np.testing.assert_array_equal(read_cut_out(buffer.getvalue()), OPAQUE)


@pytest.mark.parametrize("alpha", [0, 90, 255, "half"])
def test_alpha_that_does_not_vary_between_clear_and_opaque_cuts_nothing_out(alpha):
    pixels = PIXELS.copy()
    pixels[..., 3] = np.where(OPAQUE, 130, 255) if alpha == "half" else alpha
    assert read_cut_out(encoded(pixels)) is None


@pytest.mark.parametrize("pixels", [PIXELS[..., :3], PIXELS[..., 0]])
def test_an_image_without_alpha_is_not_cut_out(pixels):
    assert read_cut_out(encoded(np.ascontiguousarray(pixels))) is None


def test_a_deep_grey_with_a_transparent_level_is_not_cut_out():
    deep = encoded(PIXELS[..., 0].astype(np.uint16) * 200, transparency=0)
    assert read_cut_out(deep) is None


@given(st.binary(min_size=1, max_size=30), st.floats(0, 1, exclude_max=True))
def test_damage_is_an_image_error(damage, place):
    data = bytearray(encoded(PIXELS))
    start = int(place * len(data))
    data[start : start + len(damage)] = damage
    try:
        found = read_cut_out(bytes(data))
    except ImageError:
        return
    assert found is None or found.ndim == 2


def support_of(kind, **given):
    """(mask, source) of a cut-out prompt, or why it cannot be used."""
    step = Support(kind, ClassicalSaliency(long_side=60), ClassicalSegmenter(long_side=60)).step(
        None, drawn=True
    )
    step.models = Models()
    step.setup()
    row = {"key": "cup", "uri": "cup.png", "image_bytes": encoded(PIXELS), **given}
    (done,) = run_local([Decode(), step], [row])
    if "error_message" in done:
        raise PromptError(done["error_message"])
    return read_soft_mask(done["support_mask"]) > 0.5, done["mask_source"]


@pytest.mark.parametrize("kind", ["saliency", "mask"])
def test_a_prompt_that_was_cut_out_is_its_own_mask(kind):
    mask, source = support_of(kind)
    assert source == "alpha"
    np.testing.assert_array_equal(mask, OPAQUE)
    part, _ = support_of(kind, crop=[20, 10, 50, 30])
    np.testing.assert_array_equal(part, OPAQUE[10:30, 20:50])


def test_a_point_is_taken_from_what_was_cut_out():
    assert support_of("point")[1] == "point"


def test_what_is_given_goes_before_alpha():
    other = np.zeros((40, 60), bool)
    other[5:9, 40:50] = True
    mask, source = support_of("saliency", given_mask=rle_address(encode_rle(other)))
    assert source == "mask"
    np.testing.assert_array_equal(mask, other)
    points = [{"x": 50.0, "y": 35.0, "label": 1}]
    assert support_of("saliency", given_points=points)[1] == "point"
    assert support_of("none")[1] == "none"


def test_a_benchmark_that_measures_saliency_does_not_look_at_alpha():
    truth = rle_address(encode_rle(OPAQUE))
    assert support_of("saliency", ground_truth=truth)[1] == "saliency"
