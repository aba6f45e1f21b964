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
from PIL import ImageCms

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
PICTURE = PillowImage.fromarray(ASTRONAUT)
DEEP = (np.arange(32 * 40, dtype=np.uint32) * 51).astype(np.uint16).reshape(32, 40)


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.copy().save(buffer, kind, **options)  # save() leaves its settings on the picture
    return buffer.getvalue()


def exif(orientation):
    tags = PillowImage.Exif()
    tags[0x0112] = orientation
    return tags


def frames():
    return {"save_all": True, "append_images": [PICTURE.rotate(180)]}


def files():
    return {
        "jpeg": encoded(PICTURE, "JPEG", exif=exif(6)),
        "progressive": encoded(PICTURE, "JPEG", progressive=True),
        "mpo": encoded(PICTURE, "MPO", **frames()),
        "png": encoded(PICTURE, "PNG", exif=exif(3)),
        "apng": encoded(PICTURE, "PNG", **frames()),
        "palette": encoded(PICTURE.quantize(16), "PNG"),
        "16-bit": encoded(PillowImage.fromarray(DEEP), "PNG"),
        "gif": encoded(PICTURE, "GIF", **frames()),
        "webp": encoded(PICTURE, "WEBP", exif=exif(6)),
        "animated webp": encoded(PICTURE, "WEBP", **frames()),
        "tiff": encoded(PICTURE, "TIFF"),
        "tiff lzw": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
        "tiff pages": encoded(PICTURE, "TIFF", **frames()),
        "float tiff": encoded(PICTURE.convert("F"), "TIFF"),
        "bmp": encoded(PICTURE, "BMP"),
        "avif": encoded(PICTURE, "AVIF"),
        "jpeg 2000": encoded(PICTURE, "JPEG2000", tile_size=(16, 16)),
        "ppm": encoded(PICTURE, "PPM"),
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
    # The stored picture is what a camera held that way would store of the upright one.
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
def test_damaged_exif_does_not_cost_the_picture(tail):
    plain = encoded(PICTURE, "JPEG")
    body = b"Exif\0\0" + tail
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    np.testing.assert_array_equal(decode(plain[:2] + segment + plain[2:]), decode(plain))


def test_orientation_of_an_impossible_value_counts_as_none():
    image = decode(encoded(PICTURE, "PNG", exif=exif(99)))
    np.testing.assert_array_equal(image, ASTRONAUT)


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
    grey = decode(encoded(PICTURE.convert("L"), "PNG"))
    np.testing.assert_array_equal(grey[..., 0], np.asarray(PICTURE.convert("L")))
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
    stored = ImageCms.profileToProfile(PICTURE, srgb, lab, outputMode="LAB")
    image = decode(encoded(stored, "TIFF"))
    assert np.abs(image.astype(int) - ASTRONAUT).mean() < 3


def test_colours_that_pillow_cannot_convert():
    premultiplied = encoded(PICTURE.convert("LA"), "TIFF").replace(
        struct.pack("<HHIH", 338, 3, 1, 2), struct.pack("<HHIH", 338, 3, 1, 1)
    )
    with pytest.raises(ImageError, match="La colours cannot be converted"):
        decode(premultiplied)


def test_what_is_not_a_picture_is_named():
    with pytest.raises(ImageError, match="empty"):
        decode(b"")
    with pytest.raises(ImageError, match=r"not a picture .* starts with b'<!DOCTYPE html>"):
        decode(b"<!DOCTYPE html><p>404")
    with pytest.raises(ImageError, match="not a picture"):  # runs an interpreter in Pillow
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n")


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "webp", "tiff", "bmp", "avif"])
def test_truncated_pictures_are_refused(kind):
    data = FILES[kind]
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match="damaged or cut off"):
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
    image = decode(encoded(PICTURE, "PNG"), ImageLimits(max_pixels=32 * 40))
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
def test_any_damage_gives_a_picture_or_an_image_error(kind, edits, near_start, end):
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
