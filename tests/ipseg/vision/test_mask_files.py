"""Every way in which a mask may be stored gives the right pixels, or is refused with the reason."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from ipseg.errors import ImageError
from ipseg.vision.images import encode_png
from ipseg.vision.label_values import smoothed_values
from ipseg.vision.mask_files import (
    read_labels,
    read_levels,
    read_mask,
)

HORSE = np.ascontiguousarray(~skimage.data.horse()[::4, ::4].astype(bool))
GREY = PillowImage.fromarray((HORSE * 255).astype(np.uint8))
PHOTO = PillowImage.fromarray(skimage.data.astronaut()[: len(HORSE), : HORSE.shape[1]])
LABELS = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 40, 0), 50, 1)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def layers(colour, alpha):
    """RGBA of a grey (H, W) or colour image and an (H, W) alpha."""
    rgb = colour if colour.ndim == 3 else np.repeat(colour[..., None], 3, 2)
    return PillowImage.fromarray(np.dstack([rgb, alpha]).astype(np.uint8))


def palette(indices, colours, **options):
    image = PillowImage.fromarray(np.asarray(indices, np.uint8))
    image.putpalette(colours)
    return encoded(image, **options)


def refused(data, reason, read=read_mask):
    with pytest.raises(ImageError, match=reason):
        read(data)


LOSSLESS = {
    "grey": encoded(GREY),
    "value 1": encoded(PillowImage.fromarray(HORSE.astype(np.uint8))),
    "1 bit": encoded(PillowImage.fromarray(HORSE)),
    "2 bits": encoded(PillowImage.fromarray(HORSE.astype(np.uint8)), bits=2),
    "16 bits, faint": encoded(PillowImage.fromarray(HORSE.astype(np.uint16))),
    "colour": encoded(GREY.convert("RGB")),
    "interlaced": cv2.imencode(".png", HORSE * np.uint8(9))[1].tobytes(),
    "tiff": encoded(GREY, "TIFF"),
    "tiff, lzw": encoded(GREY, "TIFF", compression="tiff_lzw"),
    "tiff, group 4": encoded(PillowImage.fromarray(HORSE), "TIFF", compression="group4"),
    "tiff, 16 bits": encoded(PillowImage.fromarray(HORSE.astype(np.uint16)), "TIFF"),
    "bmp": encoded(GREY, "BMP"),
    "bmp, 1 bit": encoded(PillowImage.fromarray(HORSE), "BMP"),
    "gif": encoded(GREY, "GIF"),
    "webp": encoded(GREY.convert("RGB"), "WEBP", lossless=True),
    "webp, with metadata": encoded(GREY.convert("RGB"), "WEBP", lossless=True, xmp=b"<x/>"),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_what_is_not_zero_is_object_in_every_format_without_loss(kind):
    mask = read_mask(LOSSLESS[kind])
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, HORSE)


LOSSY = {
    "jpeg": encoded(GREY, "JPEG", quality=100),
    "webp": encoded(GREY.convert("RGB"), "WEBP", quality=100),
    "webp, with alpha": encoded(layers(np.asarray(GREY), HORSE * 255), "WEBP"),
    "tiff, jpeg": encoded(GREY, "TIFF", compression="jpeg"),
    "jpeg 2000": encoded(GREY, "JPEG2000"),
    "avif": encoded(GREY.convert("RGB"), "AVIF"),
}


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_are_refused_whatever_the_name_of_the_file(kind):
    refused(LOSSY[kind], "lossy .* whatever its name says: .*save it as a grey PNG")
    if kind in ("jpeg", "jpeg 2000", "tiff, jpeg"):
        refused(LOSSY[kind], "lossy", read_labels)


def test_a_level_in_the_middle_is_read_from_lossy_files_too():
    for kind in ("jpeg", "avif"):
        assert np.mean(read_levels(LOSSY[kind], 127) != HORSE) < 0.005
    refused(LOSSY["jpeg"], "lossy", lambda data: read_levels(data, 0))
    smooth = GREY.resize((200, 160), PillowImage.Resampling.BICUBIC)
    for image in (smooth, smooth.convert("RGB"), smooth.convert("RGBA")):
        np.testing.assert_array_equal(read_levels(encoded(image), 127), np.asarray(smooth) > 127)
    cut_out = layers(np.full(HORSE.shape, 200), HORSE * 255)
    np.testing.assert_array_equal(read_levels(encoded(cut_out), 127), HORSE)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_alpha_that_is_the_same_everywhere_says_nothing(mode):
    for alpha in (255, 90):
        whole = layers(np.asarray(GREY.convert(mode)), np.full(HORSE.shape, alpha))
        np.testing.assert_array_equal(read_mask(encoded(whole)), HORSE)
    refused(encoded(layers(np.asarray(GREY), np.zeros(HORSE.shape))), "all of it is transparent")
    nothing = layers(np.zeros(HORSE.shape), np.zeros(HORSE.shape))
    assert not read_mask(encoded(nothing)).any()


def test_transparent_pixels_are_background():
    white = np.full(HORSE.shape, 255)
    for colour in (white, white * 0, np.asarray(PHOTO)):
        np.testing.assert_array_equal(read_mask(encoded(layers(colour, HORSE * 255))), HORSE)
    grey = PillowImage.fromarray(np.dstack([white, HORSE * 255]).astype(np.uint8), "LA")
    np.testing.assert_array_equal(read_mask(encoded(grey)), HORSE)
    soft = np.where(HORSE, 200, 100)
    np.testing.assert_array_equal(read_mask(encoded(layers(white, soft))), HORSE)


def test_black_in_an_object_that_was_cut_out_is_object():
    photo = np.asarray(PHOTO).copy()
    photo[::7] = 0
    np.testing.assert_array_equal(read_mask(encoded(layers(photo, HORSE * 255))), HORSE)


def test_a_mask_that_was_drawn_may_have_transparent_padding():
    padding = np.zeros(HORSE.shape)
    padding[5:-5, 5:-5] = 255
    expected = HORSE & (padding > 0)
    assert 0 < expected.sum() < HORSE.sum() + 1
    drawn = layers(np.asarray(GREY), padding)
    np.testing.assert_array_equal(read_mask(encoded(drawn)), expected)


def test_between_drawn_and_cut_out_nobody_can_know():
    flat = np.zeros((*HORSE.shape, 3))
    flat[::3] = (200, 30, 40)
    flat[1::3] = (30, 200, 40)
    refused(encoded(layers(flat, HORSE * 255)), "opaque pixels are black: whether they are object")


def test_colours_may_be_ids_but_a_photo_is_no_mask():
    ids = np.zeros((*HORSE.shape, 3), np.uint8)
    ids[HORSE] = (0, 0, 7)
    ids[:9] = (220, 20, 60)
    expected = HORSE.copy()
    expected[:9] = True
    np.testing.assert_array_equal(read_mask(encoded(PillowImage.fromarray(ids))), expected)
    refused(encoded(PHOTO), r"[\d,]+ colours, so it is a photo")


def test_sixteen_bit_colours_are_refused():
    deep = np.repeat(HORSE[..., None], 3, 2).astype(np.uint16)
    refused(cv2.imencode(".png", deep)[1].tobytes(), "16-bit colours")
    refused(cv2.imencode(".tif", deep)[1].tobytes(), "16-bit colours")


def test_of_a_palette_the_index_counts():
    shown = palette(HORSE * 2, [0, 0, 0, 9, 9, 9, 0, 0, 0])  # both black
    np.testing.assert_array_equal(read_mask(shown), HORSE)
    purple = palette(HORSE * 2, [90, 0, 90, 9, 9, 9, 255, 0, 0])
    np.testing.assert_array_equal(read_mask(purple), HORSE)


def test_a_palette_whose_colours_say_the_opposite_is_refused():
    refused(palette(~HORSE, [255, 255, 255, 0, 0, 0]), "index 0 .*is drawn #ffffff, and index 1")
    refused(palette(HORSE * 0, [255, 255, 255, 0, 0, 0]), "is drawn #ffffff, and there is no other")
    assert not read_mask(palette(HORSE * 0, [0, 0, 0, 255, 255, 255])).any()
    refused(encoded(GREY.quantize(2), "GIF"), "what is object cannot be known")


def test_transparency_of_a_palette():
    colours = [0, 0, 0, 255, 0, 0, 0, 255, 0]
    for transparency in (0, b"\0\xff\xff", b"\0\x90\x90", 2, b"\xff\xff\0"):
        data = palette(HORSE, colours, transparency=transparency)  # index 2 is not used
        np.testing.assert_array_equal(read_mask(data), HORSE)
    cut_out = palette(np.where(HORSE, 1, 2), colours, transparency=2)
    np.testing.assert_array_equal(read_mask(cut_out), HORSE)


def test_a_level_or_colour_that_is_declared_transparent():
    np.testing.assert_array_equal(read_mask(encoded(GREY, transparency=0)), HORSE)
    np.testing.assert_array_equal(read_mask(encoded(GREY, transparency=7)), HORSE)
    refused(encoded(GREY, transparency=255), "colour 255 is object by its value and transparent")
    colour = GREY.convert("RGB")
    np.testing.assert_array_equal(read_mask(encoded(colour, transparency=(0, 0, 0))), HORSE)
    refused(encoded(colour, transparency=(255, 255, 255)), "and transparent")


def test_several_pages_or_frames_are_refused():
    other = PillowImage.fromarray((~HORSE * 255).astype(np.uint8))
    for kind in ("TIFF", "PNG", "GIF"):
        several = encoded(GREY, kind, save_all=True, append_images=[other])
        refused(several, "2 pages or frames")
    refused(encoded(PillowImage.fromarray(HORSE.astype(np.float32)), "TIFF"), "mode F")


def test_masks_can_have_any_shape_and_are_upright_by_their_own_exif():
    assert read_mask(encoded(PillowImage.new("L", (200, 1), 1))).shape == (1, 200)
    tags = PillowImage.Exif()
    tags[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        turned = read_mask(encoded(GREY, kind, exif=tags))
        np.testing.assert_array_equal(turned, np.rot90(HORSE, -1))
        turned = read_labels(encoded(GREY, kind, exif=tags))
        np.testing.assert_array_equal(turned != 0, np.rot90(HORSE, -1))


def test_large_text_and_profiles_are_no_obstacle():
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 2**21, zip=True)
    np.testing.assert_array_equal(read_mask(encoded(GREY, pnginfo=text)), HORSE)
    np.testing.assert_array_equal(read_mask(encoded(GREY, icc_profile=bytes(2**21))), HORSE)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_of_few_bits_keep_their_numbers(bits):
    labels = LABELS & (2**bits - 1)
    image = PillowImage.fromarray(labels > 0 if bits == 1 else labels)
    options = {} if bits == 1 else {"bits": bits}
    np.testing.assert_array_equal(read_labels(encoded(image, **options)), labels)


def test_labels_of_sixteen_bits_and_palettes():
    deep = LABELS.astype(np.uint16) * 1000
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read_labels(encoded(PillowImage.fromarray(deep), kind)), deep)
    white = palette(LABELS, [255, 255, 255, 0, 0, 0, 0, 0, 0, 9, 9, 9])
    np.testing.assert_array_equal(read_labels(white), LABELS)


def test_colours_are_no_labels():
    refused(encoded(GREY.convert("RGB")), "mode RGB, not a label map", read_labels)
    refused(encoded(GREY.convert("LA")), "mode LA, not a label map", read_labels)
    refused(encoded(GREY, transparency=255), "transparent", read_labels)


def test_sizes_are_checked_before_anything_is_allocated():
    body = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + body
    header = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    huge = b"\x89PNG\r\n\x1a\n" + header + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    for read in (read_mask, read_labels, lambda data: read_levels(data, 127)):
        refused(huge, "max_pixels", read)
    with pytest.raises(ImageError, match="max_pixels"):
        read_mask(encoded(GREY), max_pixels=100)


def test_values_along_outlines_only_are_no_labels():
    several = PillowImage.fromarray(LABELS * 40)
    assert smoothed_values(np.asarray(several)) is None
    resized = several.resize((333, 251), PillowImage.Resampling.BICUBIC)
    assert "outlines only" in smoothed_values(np.asarray(resized))
    turned = several.rotate(7, PillowImage.Resampling.BILINEAR)
    assert "outlines only" in smoothed_values(np.asarray(turned))
    jpeg = PillowImage.open(io.BytesIO(encoded(several, "JPEG", quality=80)))
    assert "outlines only" in smoothed_values(np.asarray(jpeg))
    nearest = several.resize((333, 251), PillowImage.Resampling.NEAREST)
    assert smoothed_values(np.asarray(nearest)) is None
    thin = LABELS.copy()
    thin[10], thin[:, 20] = 4, 5
    assert smoothed_values(thin) is None, "two thin objects beside three others"


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(sorted(LOSSLESS)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
    end=st.floats(0.02, 1),
)
def test_any_damage_gives_a_mask_or_an_image_error(kind, edits, end):
    data = bytearray(LOSSLESS[kind])
    for place, value in edits:
        data[int(place * min(len(data), 400))] = value
    cut = bytes(data[: int(end * len(data))])
    for read in (read_mask, read_labels, lambda data: read_levels(data, 127)):
        try:
            assert read(cut).ndim == 2
        except ImageError:
            continue


def test_a_plane_as_we_write_it_is_read_back():
    np.testing.assert_array_equal(read_mask(encode_png((HORSE * 255).astype(np.uint8))), HORSE)
