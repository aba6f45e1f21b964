"""Good pixels behind odd metadata are read; damaged pixels are refused as before."""

import io
import struct
import zlib

import numpy as np
import pytest
import skimage.data
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from ipseg.errors import ImageError
from ipseg.vision.images import FORMATS, decode
from ipseg.vision.metadata import without_metadata

PIXELS = np.ascontiguousarray(skimage.data.astronaut()[40:168:4, 160:320:4])  # (32, 40, 3)
IMAGE = PillowImage.fromarray(PIXELS)
SIX = PillowImage.Exif()
SIX[0x0112] = 6
SIX = SIX.tobytes()
TURNED = np.rot90(PIXELS, -1)
XMP = b'<x:xmpmeta><rdf tiff:Orientation="6"/></x:xmpmeta>'


def encoded(kind="PNG", image=IMAGE, **options):
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, body, *, broken=False):
    checksum = zlib.crc32(name + body) ^ broken
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def with_chunk(added, data=None, before=b"IDAT"):
    data = data or encoded()
    place = data.index(before) - 4
    return data[:place] + added + data[place:]


def text(**texts):
    info = PngImagePlugin.PngInfo()
    for key, (value, compressed) in texts.items():
        info.add_text(key, value, zip=compressed)
    return info


LARGE = "x" * 2**21

ODD_PNG = {
    "large text": encoded(pnginfo=text(workflow=(LARGE, True))),
    "large text, not compressed": encoded(pnginfo=text(workflow=(LARGE, False))),
    "much text": encoded(pnginfo=text(**{f"t{i}": ("x" * 2**20, True) for i in range(70)})),
    "large profile": encoded(icc_profile=bytes(2**21)),
    "profile that is none": with_chunk(chunk(b"iCCP", b"name\0\0no zlib")),
    "short profile": with_chunk(chunk(b"iCCP", b"")),
    "short gAMA": with_chunk(chunk(b"gAMA", b"\0")),
    "short cHRM": with_chunk(chunk(b"cHRM", b"\0" * 5)),
    "short pHYs": with_chunk(chunk(b"pHYs", b"\0")),
    "long sRGB": with_chunk(chunk(b"sRGB", b"")),
    "short acTL": with_chunk(chunk(b"acTL", b"\0")),
    "text without end": with_chunk(chunk(b"zTXt", b"key")),
    "unknown compression": with_chunk(chunk(b"zTXt", b"key\0\x07abc")),
    **{
        f"wrong checksum of {name.decode()}": with_chunk(chunk(name, body, broken=True))
        for name, body in (
            *(
                (b"gAMA", b"\0\0\xb1\x8f"),
                (b"tEXt", b"key\0value"),
                (b"tIME", b"\x07\xe8\1\1\1\1\1"),
            ),
            *((b"pHYs", bytes(9)), (b"eXIf", bytes(30)), (b"bKGD", bytes(6)), (b"prVt", b"own")),
        )
    },
    "wrong checksum behind the pixels": with_chunk(
        chunk(b"tEXt", b"a\0b", broken=True), None, b"IEND"
    ),
    "large text behind the pixels": with_chunk(
        chunk(b"zTXt", b"key\0\0" + zlib.compress(LARGE.encode())), None, b"IEND"
    ),
}


@pytest.mark.parametrize("what", ODD_PNG)
def test_a_png_is_read_whatever_its_metadata(what):
    np.testing.assert_array_equal(decode(ODD_PNG[what]), PIXELS)


LARGE_CHUNK = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LARGE.encode()))


def raw_profile(exif):
    lines = "\n".join(["", "exif", f"{len(exif):8d}", exif.hex()])
    return b"Raw profile type exif\0\0" + zlib.compress(lines.encode())


@pytest.mark.parametrize(
    "oriented",
    [
        encoded(exif=SIX),
        with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
        with_chunk(chunk(b"zTXt", raw_profile(SIX))),
    ],
    ids=["eXIf", "XMP", "compressed XMP", "raw profile"],
)
def test_an_orientation_survives(oriented):
    np.testing.assert_array_equal(decode(oriented), TURNED)
    np.testing.assert_array_equal(decode(with_chunk(LARGE_CHUNK, oriented)), TURNED)


def test_an_orientation_in_a_chunk_with_a_wrong_checksum_is_ignored():
    data = bytearray(encoded(exif=SIX))
    data[data.index(b"eXIf") + 12] ^= 1
    np.testing.assert_array_equal(decode(bytes(data)), PIXELS)


def test_transparency_changes_pixels_and_is_kept():
    indexed = PillowImage.fromarray(PIXELS[..., 0] // 128, "P")
    indexed.putpalette([9, 99, 200, 30, 30, 30])
    clear = encoded(image=indexed, transparency=0)
    expected = decode(clear)
    assert expected[PIXELS[..., 0] < 128].min() == 255
    np.testing.assert_array_equal(decode(with_chunk(LARGE_CHUNK, clear)), expected)
    broken = bytearray(with_chunk(LARGE_CHUNK, clear))
    broken[broken.index(b"tRNS") + 4] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        decode(bytes(broken))


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT"])
def test_damage_of_what_pixels_need_is_refused(name):
    data = encoded(image=IMAGE.quantize(16))
    for offset in (0, 4):  # of the name, which then looks like metadata; of the content
        broken = bytearray(with_chunk(LARGE_CHUNK, data))
        broken[broken.index(name) + offset] ^= 0x20
        with pytest.raises(ImageError, match="damaged"):
            decode(bytes(broken))


def segment(marker, body, length=None):
    return bytes([0xFF, marker]) + struct.pack(">H", length or len(body) + 2) + body


def with_segment(added, data=None, at=2):
    data = data or encoded("JPEG")
    return data[:at] + added + data[at:]


ODD_JPEG = {
    "short JFIF": with_segment(segment(0xE0, b"JFIF\0")),
    "short Adobe": with_segment(segment(0xEE, b"Adobe\0")),
    "several images, of which none is there": with_segment(segment(0xE2, b"MPF\0II*\0")),
    "several images, without a directory": with_segment(segment(0xE2, b"MPF\0")),
    "profile without number": with_segment(segment(0xE2, b"ICC_PROFILE\0")),
    "photoshop block that ends early": with_segment(
        segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0")
    ),
    "photoshop block without name": with_segment(segment(0xED, b"Photoshop 3.0\x008BIM\4\4")),
    "exif that ends early": with_segment(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff")),
    "length too short": with_segment(segment(0xED, b"text" * 9, length=12)),
    "length zero": with_segment(b"\xff\xec\0\0"),
    "bytes between segments": with_segment(b"\0\1\2\xff\0\3", at=20),
    "comment that is no text": with_segment(segment(0xFE, bytes(range(256)))),
}


@pytest.mark.parametrize("what", ODD_JPEG)
def test_a_jpeg_is_read_whatever_its_segments(what):
    np.testing.assert_array_equal(decode(ODD_JPEG[what]), decode(encoded("JPEG")))


def test_an_orientation_and_the_colours_of_a_jpeg_survive():
    plain = encoded("JPEG", exif=SIX)
    odd = with_segment(segment(0xE0, b"JFIF\0"), plain)
    np.testing.assert_array_equal(decode(odd), decode(plain))
    cmyk = encoded("JPEG", image=IMAGE.convert("CMYK"))  # an Adobe segment says how
    odd = with_segment(segment(0xE0, b"JFIF\0"), cmyk)
    np.testing.assert_array_equal(decode(odd), decode(cmyk))


def riff(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_is_read_whatever_its_metadata(lossless):
    plain = encoded("WEBP", lossless=lossless)
    whole = encoded("WEBP", lossless=lossless, exif=SIX, xmp=b"<x/>" * 9, icc_profile=bytes(99))
    np.testing.assert_array_equal(decode(whole), np.rot90(decode(plain), -1))
    np.testing.assert_array_equal(decode(whole[:-9]), np.rot90(decode(plain), -1)), "XMP is cut"
    wrong = bytearray(whole)
    place = wrong.index(b"XMP ") + 4
    wrong[place : place + 4] = struct.pack("<I", 2**31)
    np.testing.assert_array_equal(decode(bytes(wrong)), np.rot90(decode(plain), -1))
    with pytest.raises(ImageError, match="damaged"):
        decode(plain[:-20])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_tiff_is_read_whatever_its_tags(compression):
    plain = encoded("TIFF", compression=compression)
    tagged = encoded(
        "TIFF", compression=compression, description="text " * 9, icc_profile=bytes(99), exif=SIX
    )
    np.testing.assert_array_equal(decode(tagged), TURNED)
    start = struct.unpack_from("<I", tagged, 4)[0]
    (count,) = struct.unpack_from("<H", tagged, start)
    for number in range(count):
        at = start + 2 + 12 * number
        tag = struct.unpack_from("<H", tagged, at)[0]
        if tag not in (270, 34675):
            continue
        for entry in ((tag, 7, 2**32 - 1, 8), (tag, 99, 1, 0), (tag, 13, 5, 2**32 - 9)):
            odd = tagged[:at] + struct.pack("<HHII", *entry) + tagged[at + 12 :]
            np.testing.assert_array_equal(decode(odd), TURNED)
    np.testing.assert_array_equal(decode(plain), PIXELS)


def test_a_jpeg_2000_and_an_avif_are_read_without_their_boxes():
    plain = encoded("JPEG2000")
    odd = plain + struct.pack(">I4s", 2**31, b"uuid")
    np.testing.assert_array_equal(decode(odd), PIXELS)
    place = plain.index(b"jp2c") - 4
    odd = plain[:place] + struct.pack(">I4s", 12, b"xml ") + b"<x/>" + plain[place:]
    np.testing.assert_array_equal(decode(odd), PIXELS)
    stripped = without_metadata("JPEG2000", odd)
    np.testing.assert_array_equal(decode(stripped), PIXELS)
    assert len(stripped) < len(odd)
    avif = encoded("AVIF", exif=SIX, xmp=XMP * 20)
    expected = decode(encoded("AVIF", exif=SIX))
    np.testing.assert_array_equal(decode(avif), expected)
    np.testing.assert_array_equal(decode(without_metadata("AVIF", avif)), expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_left_out_changes_no_pixel(kind):
    data = encoded(kind)
    for orientation in (True, False):
        copy = without_metadata(kind, data, orientation=orientation)
        if copy is not None:
            assert len(copy) <= len(data)
            np.testing.assert_array_equal(decode(copy), decode(data))
