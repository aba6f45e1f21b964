"""One damaged input through the code that reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from damage import damage
from inputs import CORPUS

from ipseg.benchmarks.annotations.coco_instances import Instances
from ipseg.errors import ImageError, SourceError
from ipseg.rows import is_failed
from ipseg.vision.images import decode
from ipseg.vision.mask_files import read_labels, read_levels, read_mask
from ipseg.vision.masks import decode_rle
from pipeline.sources.parquet import Columns
from pipeline.sources.shard import Kind, Shard
from pipeline.sources.source import list_source

KINDS = tuple(CORPUS)
EXTRA_BYTES = 2**30  # that reading may allocate beside ten times the input


class WrongError(Exception):
    """Reading did something that it must not do."""


def run_trial(kind: str, seed: int, folder: Path) -> str:
    """Damages an input and reads it.

    Args:
        kind: one of `KINDS`.
        seed: of all choices.
        folder: for the file.

    Returns:
        What came of it: "read", "refused" or "read in part".

    Raises:
        WrongError: rows are missing, twice or without an image and an error.
        Exception: of any kind; reading must raise none.
    """
    random = Random(f"{kind} {seed}")  # noqa: S311  (a test)
    valid = CORPUS[kind]()
    name = random.choice(sorted(valid))
    data = damage(valid[name], random, list(valid.values()))
    return read(kind, data, name, folder)


def read(kind: str, data: bytes, name: str, folder: Path) -> str:
    """What comes of reading an input; returns and raises as `run_trial`."""
    return _READERS[kind](data, name, folder)


def _image(data: bytes, name: str, folder: Path) -> str:
    try:
        image = decode(data)
    except ImageError:
        return "refused"
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise WrongError(f"an image of {image.shape}, {image.dtype}")
    return "read"


def _mask(data: bytes, name: str, folder: Path) -> str:
    done = 0
    for reader in (read_mask, read_labels, partial(read_levels, level=127)):
        try:
            mask = reader(data)
        except ImageError:
            continue
        if mask.ndim != 2:
            raise WrongError(f"a mask of {mask.shape}, {mask.dtype}")
        done += 1
    return "read" if done else "refused"


def _container(kind: Kind) -> Callable[[bytes, str, Path], str]:
    def read(data: bytes, name: str, folder: Path) -> str:
        file = folder / "x"
        file.write_bytes(data)
        rows = list(Shard("x", kind, str(file), "x").read(Counter()))
        for row in rows:
            if not (is_failed(row) or row.get("image_bytes") is not None or row.get("uri")):
                raise WrongError(f"a row without an image and without an error: {row}")
            if "MemoryError" in str(row.get("error_type")):
                raise WrongError(f"reading asked for too much memory: {row['error_message']}")
            json.dumps([row["key"], row["uri"]]).encode()
        keys = [row["key"] for row in rows]
        if len(set(keys)) != len(keys):
            raise WrongError(f"keys that repeat: {keys}")
        broken = sum(map(is_failed, rows))
        return "refused" if broken == len(rows) else "read in part" if broken else "read"

    return read


def _list(data: bytes, name: str, folder: Path) -> str:
    file = folder / name
    file.write_bytes(data)
    try:
        with list_source(str(file), str(folder / "out"), Columns()) as found:
            rows = list(found.write(str(folder / "out")).read())
    except SourceError:
        return "refused"
    if len({row["key"] for row in rows}) != len(rows):
        raise WrongError(f"keys that repeat: {[row['key'] for row in rows]}")
    return "read in part" if any(map(is_failed, rows)) else "read"


def _annotations(data: bytes, name: str, folder: Path) -> str:
    file = folder / "instances_val2014.json"
    file.write_bytes(data)
    try:
        instances = Instances(str(file))
        for annotation in instances.annotations():
            with instances.dropped.record():
                decode_rle(instances.rle(annotation))
    except SourceError:
        return "refused"
    return "read in part" if instances.dropped.listed else "read"


_READERS: dict[str, Callable[[bytes, str, Path], str]] = {
    "image": _image,
    "mask": _mask,
    "tar": _container("webdataset"),
    "parquet": _container("parquet"),
    "list": _list,
    "annotations": _annotations,
}
