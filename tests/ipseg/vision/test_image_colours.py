"""Colour modes and bit depths, all converted to 8-bit RGB."""

import io
import struct

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image as PillowImage
from PIL import ImageCms

from ipseg.errors import ImageError
from ipseg.vision.images import decode

ASTRONAUT = np.ascontiguousarray(skimage.data.astronaut()[40:168:4, 160:320:4])  # (32, 40, 3)
IMAGE = PillowImage.fromarray(ASTRONAUT)
DEEP = (np.arange(32 * 40, dtype=np.uint32) * 51).astype(np.uint16).reshape(32, 40)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # a copy, because save() changes it
    return buffer.getvalue()


def test_transparency_is_composited_onto_white():
    rgba = np.dstack([ASTRONAUT, np.zeros((32, 40), np.uint8)])
    rgba[:, 20:, 3] = 255
    rgba[:4, :, 3] = 128
    image = decode(encoded(PillowImage.fromarray(rgba), "PNG"))
    assert (image[4:, :20] == 255).all()
    np.testing.assert_array_equal(image[4:, 20:], ASTRONAUT[4:, 20:])
    blended = 255 + (ASTRONAUT[:4].astype(float) - 255) * 128 / 255
    assert np.abs(image[:4] - blended).max() <= 1


def test_transparent_palette_and_grey_and_key_colour():
    indexed = PillowImage.fromarray(np.tile(np.arange(4, dtype=np.uint8), (16, 4)), "P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 0, 0, 0])
    assert decode(encoded(indexed, "PNG"))[0, :4].tolist() == [
        [10, 20, 30],
        [40, 50, 60],
        [70, 80, 90],
        [0, 0, 0],
    ]
    seen = decode(encoded(indexed, "PNG", transparency=1))[0, :4]
    assert seen.tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90], [0, 0, 0]]
    grey = PillowImage.fromarray(np.full((16, 16, 2), (7, 0), np.uint8), "LA")
    assert (decode(encoded(grey, "PNG")) == 255).all()
    key = PillowImage.new("RGB", (16, 16), (1, 2, 3))
    assert (decode(encoded(key, "PNG", transparency=(1, 2, 3))) == 255).all()


def test_one_bit_and_grey():
    board = np.indices((16, 16)).sum(0) % 2 == 0
    image = decode(encoded(PillowImage.fromarray(board), "PNG"))
    np.testing.assert_array_equal(image, np.repeat(board[..., None] * 255, 3, 2))
    grey = decode(encoded(IMAGE.convert("L"), "PNG"))
    np.testing.assert_array_equal(grey[..., 0], np.asarray(IMAGE.convert("L")))
    assert (grey[..., 0] == grey[..., 2]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    image = decode(encoded(PillowImage.fromarray(DEEP), kind))
    np.testing.assert_array_equal(image[..., 1], np.round(DEEP / 257))


def test_16_bit_grey_of_the_other_byte_order():
    # A big-endian TIFF by hand: what scanners and microscopes write.
    tags = [(256, 40), (257, 32), (258, 16), (259, 1), (262, 1), (273, 200), (278, 32), (279, 2560)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    image = decode(head.ljust(200, b"\0") + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(image[..., 0], np.round(DEEP / 257))


def test_12_bit_grey_is_scaled_by_12_bits():
    values = np.tile(np.array([0, 4095, 2048, 16], np.uint16), (16, 4))
    first, second = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2)
    tags = [(256, 16), (257, 16), (258, 12), (259, 1), (262, 1), (273, 200), (278, 16), (279, 384)]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    image = decode(head.ljust(200, b"\0") + packed.astype(np.uint8).tobytes())
    assert image[0, :4, 0].tolist() == [0, 255, 128, 1]


def test_16_bit_colour_keeps_its_upper_bits():
    deep = np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1]])
    for suffix in (".png", ".tiff"):
        data = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
        np.testing.assert_array_equal(decode(data), deep >> 8)


def test_32_bit_values_are_stretched_over_their_finite_range():
    depth = np.linspace(-3, 5, 16 * 16, dtype=np.float32).reshape(16, 16)
    depth[0, 1], depth[0, 2] = np.nan, np.inf
    image = decode(encoded(PillowImage.fromarray(depth), "TIFF"))[..., 0]
    assert image[0, :3].tolist() == [0, 0, 0]
    assert image[-1, -1] == 255
    assert (np.diff(image.ravel()[3:].astype(int)) >= 0).all()
    whole = np.arange(256, dtype=np.int32).reshape(16, 16) * 1000
    image = decode(encoded(PillowImage.fromarray(whole), "TIFF"))[..., 0]
    np.testing.assert_array_equal(image.ravel(), np.arange(256))
    assert not decode(encoded(PillowImage.new("F", (16, 16), 7.5), "TIFF")).any()
    with pytest.raises(ImageError, match="no finite value"):
        decode(encoded(PillowImage.new("F", (16, 16), float("nan")), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind):
    cyan = decode(encoded(PillowImage.new("CMYK", (16, 16), (255, 0, 0, 0)), kind))
    assert np.abs(cyan.astype(int) - (0, 255, 255)).max() < 4
    black = decode(encoded(PillowImage.new("CMYK", (16, 16), (0, 0, 0, 255)), kind))
    assert black.max() < 4


def test_lab_is_converted():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.profileToProfile(IMAGE, srgb, lab, outputMode="LAB")
    image = decode(encoded(stored, "TIFF"))
    assert np.abs(image.astype(int) - ASTRONAUT).mean() < 3


def test_colours_that_pillow_cannot_convert():
    premultiplied = encoded(IMAGE.convert("LA"), "TIFF").replace(
        struct.pack("<HHIH", 338, 3, 1, 2), struct.pack("<HHIH", 338, 3, 1, 1)
    )
    with pytest.raises(ImageError, match=r"La colours cannot be converted|unknown pixel mode"):
        decode(premultiplied)
