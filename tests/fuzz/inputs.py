"""Small valid inputs of every kind, to be damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES
from ipseg.vision.masks import encode_rle

_SIDE = 24


def _pixels(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def images() -> dict[str, bytes]:
    """Encoded images: name -> bytes."""
    image = Image.fromarray(_pixels())
    grey, palette = image.convert("L"), image.quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 200, zip=True)
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    return {
        "jpeg": _encoded(image, "JPEG", exif=exif, icc_profile=bytes(64)),
        "progressive": _encoded(image, "JPEG", progressive=True),
        "cmyk": _encoded(image.convert("CMYK"), "JPEG"),
        "mpo": _encoded(image, "MPO", **frames),
        "png": _encoded(image, "PNG", exif=exif, pnginfo=text),
        "apng": _encoded(image, "PNG", **frames),
        "palette": _encoded(palette, "PNG", transparency=1),
        "rgba": _encoded(image.convert("RGBA"), "PNG"),
        "one bit": _encoded(grey.convert("1"), "PNG"),
        "16 bit": _encoded(Image.fromarray(_pixels()[..., 0].astype(np.uint16) * 257), "PNG"),
        "gif": _encoded(image, "GIF", **frames),
        "webp": _encoded(image, "WEBP", exif=exif),
        "lossless webp": _encoded(image, "WEBP", lossless=True),
        "tiff": _encoded(image, "TIFF"),
        "tiff lzw": _encoded(image, "TIFF", compression="tiff_lzw"),
        "float tiff": _encoded(image.convert("F"), "TIFF"),
        "bmp": _encoded(image, "BMP"),
        "avif": _encoded(image, "AVIF"),
        "jpeg 2000": _encoded(image, "JPEG2000"),
        "ppm": _encoded(image, "PPM"),
    }


@cache
def masks() -> dict[str, bytes]:
    """Masks and label maps."""
    disc = np.hypot(*np.mgrid[-12:12, -12:12]) < 8
    levels = disc.astype(np.uint8)
    labels = Image.fromarray(levels * 3)
    coloured = labels.convert("P")
    coloured.putpalette(list(range(256)) * 3)
    cut_out = Image.fromarray(np.dstack([_pixels(), levels * 255]))
    return {
        "mask": _encoded(Image.fromarray(levels * 255), "PNG"),
        "one bit": _encoded(Image.fromarray(disc), "PNG"),
        "16 bit": _encoded(Image.fromarray(levels.astype(np.uint16) * 65535), "PNG"),
        "palette": _encoded(coloured, "PNG"),
        "labels": _encoded(labels, "PNG"),
        "cut-out": _encoded(cut_out, "PNG"),
        "grey and alpha": _encoded(cut_out.convert("LA"), "PNG"),
    }


@cache
def tars() -> dict[str, bytes]:
    """Archives: plain, joined, compressed, with links and long names."""
    plain = _tar(tarfile.USTAR_FORMAT)
    gnu, pax = _tar(tarfile.GNU_FORMAT, long=True), _tar(tarfile.PAX_FORMAT, long=True)
    return {
        **{"plain": plain, "gnu": gnu, "pax": pax, "joined": plain + gnu},
        **{"gzip": gzip.compress(plain), "bzip2": bz2.compress(plain)},
        **{"xz": lzma.compress(plain), "zstd": pa.compress(plain, "zstd", asbytes=True)},
    }


def _tar(form: int, *, long: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        names = ["a.jpg", "a.json", "frame.0001.jpg", *(["x" * 150 + "é.jpg"] if long else [])]
        for name in names:
            data = images()["jpeg"]
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
        tar.addfile(link)
    return buffer.getvalue()


@cache
def parquets() -> dict[str, bytes]:
    """Parquet files of several layouts, compressions and Arrow types."""
    cells = [images()["jpeg"], images()["png"], None, images()["gif"]]
    keys = ["a", "b", "c", "d"]
    plain = pa.table({"key": keys, "image": cells})
    structs = pa.table(
        {"image": [{"bytes": cell, "path": k} for cell, k in zip(cells, keys, strict=True)]}
    )
    dictionary = pa.table({"id": pa.array(keys).dictionary_encode(), "jpg": cells})
    paths = pa.table({"key": [1, 2, 3, 4], "path": ["a.jpg", "/b.jpg", None, "s3://c/d.jpg"]})
    return {
        "plain": _parquet(plain, compression="none"),
        "row groups": _parquet(plain, row_group_size=1, compression="zstd"),
        "pages": _parquet(plain, compression="snappy", data_page_version="2.0"),
        "checked": _parquet(plain, compression="gzip", write_page_checksum=True),
        "structs": _parquet(structs, compression="lz4"),
        "dictionary": _parquet(dictionary, compression="brotli"),
        "paths": _parquet(paths),
    }


def _parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@cache
def lists() -> dict[str, bytes]:
    """Lists of images; the name is that of the file."""
    return {
        "l.csv": b'id,path,label\n1,a.jpg,"x\ny"\n2,b.jpg,z\n3,/c.jpg,\n',
        "l.tsv": b"path\tid\na.jpg\t1\nb.jpg\t2\n",
        "l.jsonl": b'{"path": "a.jpg", "id": 1}\n"b.jpg"\n{"url": "s3://c/d.jpg", "n": [1, {}]}\n',
        "l.txt": "a.jpg\nü b.jpg\ns3://c/d.jpg\n".encode(),
    }


@cache
def coco() -> dict[str, bytes]:
    """The official annotations of COCO 2014, with three images."""
    disc = np.hypot(*np.mgrid[-12:12, -12:12]) < 8
    outlines: list[Any] = [
        [[2, 2, 20, 2, 20, 20]],
        encode_rle(disc),
        {"size": [24, 24], "counts": [300, 276]},
    ]
    content = {
        "info": {"year": 2026},
        "images": [
            {"id": n, "width": 24, "height": 24, "file_name": f"COCO_val2014_{n:012d}.jpg"}
            for n in (1, 2, 3)
        ],
        "annotations": [
            {
                **{"id": n + 1, "image_id": 1 + n % 3, "category_id": 1 + n % 2, "iscrowd": n % 2},
                **{"segmentation": outline, "bbox": [2, 2, 18, 18], "area": 162.0},
            }
            for n, outline in enumerate(outlines)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(COCO_CLASSES)],
    }
    return {"coco": json.dumps(content).encode(), "wide": json.dumps(content, indent=1).encode()}


CORPUS: dict[str, Callable[[], dict[str, bytes]]] = {
    "image": images,
    "mask": masks,
    "tar": tars,
    "parquet": parquets,
    "list": lists,
    "annotations": coco,
}
