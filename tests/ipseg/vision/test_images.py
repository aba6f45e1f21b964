import io
import struct
import zlib

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.vision.images import (
    FORMATS,
    IMAGE_SUFFIXES,
    ImageLimits,
    decode,
    encode_jpeg,
    encode_png,
    thumbnail,
)

ASTRONAUT = np.ascontiguousarray(skimage.data.astronaut()[40:168:4, 160:320:4])  # (32, 40, 3)
IMAGE = PillowImage.fromarray(ASTRONAUT)
DEEP = (np.arange(32 * 40, dtype=np.uint32) * 51).astype(np.uint16).reshape(32, 40)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # a copy, because save() changes it
    return buffer.getvalue()


def exif(orientation):
    tags = PillowImage.Exif()
    tags[0x0112] = orientation
    return tags


def frames():
    return {"save_all": True, "append_images": [IMAGE.rotate(180)]}


def files():
    return {
        "jpeg": encoded(IMAGE, "JPEG", exif=exif(6)),
        "progressive": encoded(IMAGE, "JPEG", progressive=True),
        "mpo": encoded(IMAGE, "MPO", **frames()),
        "png": encoded(IMAGE, "PNG", exif=exif(3)),
        "apng": encoded(IMAGE, "PNG", **frames()),
        "palette": encoded(IMAGE.quantize(16), "PNG"),
        "16-bit": encoded(PillowImage.fromarray(DEEP), "PNG"),
        "gif": encoded(IMAGE, "GIF", **frames()),
        "webp": encoded(IMAGE, "WEBP", exif=exif(6)),
        "animated webp": encoded(IMAGE, "WEBP", **frames()),
        "tiff": encoded(IMAGE, "TIFF"),
        "tiff lzw": encoded(IMAGE, "TIFF", compression="tiff_lzw"),
        "tiff pages": encoded(IMAGE, "TIFF", **frames()),
        "float tiff": encoded(IMAGE.convert("F"), "TIFF"),
        "bmp": encoded(IMAGE, "BMP"),
        "avif": encoded(IMAGE, "AVIF"),
        "jpeg 2000": encoded(IMAGE, "JPEG2000", tile_size=(16, 16)),
        "ppm": encoded(IMAGE, "PPM"),
    }


FILES = files()


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp", "ppm", "jpeg 2000", "tiff lzw"])
def test_lossless_formats_give_the_pixels_back(kind):
    expected = ASTRONAUT[::-1, ::-1] if kind == "png" else ASTRONAUT
    image = decode(FILES[kind])
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("kind", ["mpo", "apng", "gif", "animated webp", "tiff pages"])
def test_the_first_frame_is_taken(kind):
    error = np.abs(decode(FILES[kind]).astype(int) - ASTRONAUT).mean()
    assert error < 12  # the other frame is upside down: about 80


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind, orientation):
    # The stored image is that of a rotated camera for the upright one.
    undo = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.swapaxes(0, 1),
        lambda a: np.rot90(a, 1),
        lambda a: a[::-1, ::-1].swapaxes(0, 1),
        lambda a: np.rot90(a, -1),
    ][orientation - 1]
    upright = np.repeat(
        np.repeat([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], 16, 0), 24, 1
    )
    stored = PillowImage.fromarray(np.ascontiguousarray(undo(upright).astype(np.uint8)))
    image = decode(encoded(stored, kind, exif=exif(orientation)))
    assert image.shape == upright.shape
    corners = image[4::16, 6::24].astype(int)
    assert np.abs(corners - upright[4::16, 6::24]).max() < 40


@pytest.mark.parametrize(
    "tail", [b"", b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08"]
)
def test_damaged_exif_is_ignored(tail):
    plain = encoded(IMAGE, "JPEG")
    body = b"Exif\0\0" + tail
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    np.testing.assert_array_equal(decode(plain[:2] + segment + plain[2:]), decode(plain))


def test_an_invalid_orientation_is_ignored():
    image = decode(encoded(IMAGE, "PNG", exif=exif(99)))
    np.testing.assert_array_equal(image, ASTRONAUT)


def test_files_other_than_images_are_named():
    with pytest.raises(ImageError, match="empty"):
        decode(b"")
    with pytest.raises(ImageError, match=r"not an image .* starts with b'<!DOCTYPE html>"):
        decode(b"<!DOCTYPE html><p>404")
    with pytest.raises(ImageError, match="not an image"):  # runs an interpreter in Pillow
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n")


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "webp", "tiff", "bmp", "avif"])
def test_truncated_images_are_refused(kind):
    data = FILES[kind]
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match="damaged or truncated"):
            decode(data[: int(share * len(data))])


def png_header(width, height):
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"")
    chunks = b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (ihdr, idat)
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((60_000, 60_000), "images.max_pixels"),
        ((20_000, 10_001), "images.max_pixels"),
        ((15, 300), "images.min_side"),
        ((1000, 19), "images.max_aspect"),
        ((20, 1001), "images.max_aspect"),
    ],
)
def test_sizes_are_checked_on_the_header(size, reason):
    with pytest.raises(ImageError, match=reason) as caught:  # the pixels are missing
        decode(png_header(*size))
    assert f"{size[0]}x{size[1]}" in str(caught.value)


def test_sizes_above_pillows_own_limit_can_be_allowed():
    before = PillowImage.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="data is damaged"):  # i.e. the size was accepted
        decode(png_header(19_000, 10_000))
    assert before == PillowImage.MAX_IMAGE_PIXELS
    image = decode(encoded(IMAGE, "PNG"), ImageLimits(max_pixels=32 * 40))
    assert image.shape == (32, 40, 3)


@pytest.mark.parametrize("wrong", [{"min_side": 0}, {"max_aspect": 0.5}, {"max_pixels": 0}])
def test_impossible_limits_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        ImageLimits(**wrong)


@settings(deadline=None, max_examples=400)
@given(
    kind=st.sampled_from(sorted(FILES)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
    near_start=st.booleans(),
    end=st.floats(0.02, 1),
)
def test_any_damage_gives_an_image_or_an_image_error(kind, edits, near_start, end):
    data = bytearray(FILES[kind])
    reach = min(len(data), 200) if near_start else len(data)
    for place, value in edits:
        data[int(place * reach)] = value
    try:
        image = decode(bytes(data[: int(end * len(data))]))
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=100), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0"])
)
def test_noise_is_an_image_error(noise, magic):
    with pytest.raises(ImageError):
        decode(magic + noise)


def test_encoders_and_thumbnail():
    np.testing.assert_array_equal(decode(encode_png(ASTRONAUT)), ASTRONAUT)
    assert np.abs(decode(encode_jpeg(ASTRONAUT, 95)).astype(int) - ASTRONAUT).mean() < 8
    assert len(encode_jpeg(ASTRONAUT, 30)) < len(encode_jpeg(ASTRONAUT, 95))
    grey = ASTRONAUT[..., 0]
    np.testing.assert_array_equal(decode(encode_png(grey))[..., 1], grey)
    assert decode(encode_jpeg(grey)).shape == (32, 40, 3)
    assert thumbnail(ASTRONAUT, 20).shape == (16, 20, 3)
    assert thumbnail(ASTRONAUT, 400).shape == (32, 40, 3)
    before = ASTRONAUT.copy()
    thumbnail(ASTRONAUT, 8)
    np.testing.assert_array_equal(ASTRONAUT, before)


def test_suffixes_belong_to_the_formats_that_are_read():
    PillowImage.init()
    for suffix in IMAGE_SUFFIXES:
        kind = PillowImage.EXTENSION.get(suffix)
        assert kind in {*FORMATS, "MPO"}, suffix
