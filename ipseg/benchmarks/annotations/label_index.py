"""An index of label maps: which image contains which label, with how many pixels.

Without it, finding all images with a cow means decoding thousands of PNG files at every start. It
is built again when a map is touched: that reads no more than comparing contents would.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ipseg.benchmarks.annotations.origin import quick_hash
from ipseg.benchmarks.annotations.threads import read_all
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.ground_truth import read_label_map
from ipseg.benchmarks.layout import is_file
from ipseg.errors import SourceError
from ipseg.storage.tables import read_table, write_table
from ipseg.vision.label_values import smoothed_values

INDEX_FILE = "ipseg_index.parquet"

_FINGERPRINT = b"ipseg_labels"
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),  # of the label map, without folder and suffix
        ("label", pa.int32()),
        ("pixels", pa.int64()),
        ("share", pa.float64()),  # pixels of this label / all pixels
    ]
)

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Coding:
    """How a data set encodes classes in its label maps.

    Attributes:
        values: class id -> pixel value.
        possible: all valid values.
        void: value of pixels that are not evaluated; None if all are.
        explanation: what the values mean, for the error about an invalid one.
    """

    values: Mapping[int, int]
    possible: AbstractSet[int]
    void: int | None
    explanation: str

    def address(self, labels: str, class_id: int) -> str:
        """Address of the ground truth of a class in a label map."""
        ignore = "" if self.void is None else f"&ignore={self.void}"
        return f"{labels}#label={self.values[class_id]}{ignore}"


def count_labels(url: str, coding: Coding) -> dict[int, int]:
    """Label -> number of pixels in one label map, including void.

    Raises:
        SourceError: as `read_label_map`, or the map has an invalid value.
    """
    labels = read_label_map(url)
    if labels.dtype == np.uint8:  # nearly all; counting is many times faster than sorting
        every = np.bincount(labels.ravel(), minlength=256)
        values = np.flatnonzero(every)
        counts = every[values]
    else:
        values, counts = np.unique(labels, return_counts=True)
    for value in values.tolist():
        if value not in coding.possible:
            raise SourceError(f"{url} contains the value {value}: {coding.explanation}")
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def check_labels(url: str, coding: Coding) -> None:
    """Checks the values of one label map, and that they are of areas and not of outlines.

    Raises:
        SourceError: as `count_labels`, or its values come from resizing or JPEG.
    """
    count_labels(url, coding)
    unused = (0,) if coding.void is None else (0, coding.void)
    if wrong := smoothed_values(read_label_map(url), unused):
        raise SourceError(f"{url} cannot be a label map: {wrong}")


def label_index(
    maps: Mapping[str, str], coding: Coding, folder: str, progress: Progress | None = None
) -> pa.Table:
    """The index of some label maps, read from its file if no map has changed since.

    Args:
        maps: name -> address of the label map.
        coding: of the values.
        folder: for the index file. If it is not writable, a warning is logged and the maps are
            read again next time.
        progress: called after each map that is read.

    Returns:
        Table with columns name, label, pixels (count) and share (in [0, 1]), sorted by name, then
        label; no row for a label that an image does not contain.

    Raises:
        SourceError: as `count_labels`, or the index file is damaged.
    """
    url = f"{folder}/{INDEX_FILE}"
    fingerprint = _fingerprint(maps, coding)
    known = read_table(url, "to build it again") if is_file(url) else None
    if known is not None and (known.schema.metadata or {}).get(_FINGERPRINT) == fingerprint:
        return known
    table = _build(sorted(maps.items()), coding, progress)
    table = table.replace_schema_metadata({_FINGERPRINT: fingerprint})
    try:
        write_table(url, table)
    except OSError as error:
        log.warning(
            "the index of %d label maps cannot be saved to %s (%s): they will be read again next "
            "time; give a cache folder",
            *(len(maps), url, error),
        )
    return table


def _build(maps: Sequence[tuple[str, str]], coding: Coding, progress: Progress | None) -> pa.Table:
    found = read_all(lambda url: count_labels(url, coding), [url for _, url in maps], progress)
    records = []
    for (name, _), counts in zip(maps, found, strict=True):
        total = sum(counts.values())
        records += [
            {"name": name, "label": label, "pixels": pixels, "share": pixels / total}
            for label, pixels in counts.items()
        ]
    return pa.Table.from_pylist(records, _SCHEMA)


def _fingerprint(maps: Mapping[str, str], coding: Coding) -> bytes:
    known = [quick_hash(maps.items()), sorted(coding.possible), _SCHEMA.to_string()]
    return hashlib.sha256(repr(known).encode()).hexdigest().encode()
