"""Numbers of images and annotations that stay the same whenever an export is made again.

TO/ids.parquet remembers them: 16 bytes of hash and a number for each. What is known keeps its
number, what is new gets the next ones in the order of the hashes, and the number of what is gone is
not used again. Concepts keep their numbers too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.storage.files import exists, open_input
from ipseg.storage.streams import whole_file

FILE = "ids.parquet"
_SCHEMA = pa.schema([("kind", pa.string()), ("hash", pa.binary(16)), ("id", pa.int64())])
_AT_ONCE = 65_536  # rows that are written at a time
_MINE = b"ipseg_export"  # key of the metadata
_KINDS = ("image", "annotation")

Hashes = npt.NDArray[np.uint64]  # (n, 2)


def image_hash(key: str, frame: int = 0) -> bytes:
    """16 bytes for an image, or one frame of a sequence."""
    return _hash(key, frame)


def annotation_hash(key: str, found: Object) -> bytes:
    """16 bytes for an object: image, frame, concept, and its number among those of the concept."""
    return _hash(key, found.frame, found.concept, found.instance)


def _hash(*names: str | int) -> bytes:
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=16).digest()


class Numbers:
    """Hash -> number from 1, in 24 bytes each."""

    def __init__(
        self, hashes: Hashes | None = None, ids: npt.NDArray[np.int64] | None = None
    ) -> None:
        self._hashes = np.empty((0, 2), np.uint64) if hashes is None else hashes
        self._ids = np.empty(0, np.int64) if ids is None else ids
        self._new = bytearray()
        self._sort()

    def __len__(self) -> int:
        """How many have a number."""
        return len(self._ids)

    def add(self, value: bytes) -> None:
        """Notes one that needs a number; `assign` gives it one if it has none."""
        self._new += value

    def assign(self) -> None:
        """Gives the next numbers to what was added and has none, in the order of the hashes."""
        new = np.frombuffer(bytes(self._new), ">u8").astype(np.uint64).reshape(-1, 2)
        self._new = bytearray()
        new = new[np.lexsort([new[:, 1], new[:, 0]])]
        fresh = np.ones(len(new), bool)
        fresh[1:] = (new[1:] != new[:-1]).any(axis=1)
        if len(self):
            fresh &= self._find(new) < 0
        new = new[fresh]
        last = int(self._ids.max(initial=0))
        ids = np.arange(last + 1, last + 1 + len(new), dtype=np.int64)
        self._hashes = np.concatenate([self._hashes, new])
        self._ids = np.concatenate([self._ids, ids])
        self._sort()

    def of(self, value: bytes) -> int:
        """The number of one that was added.

        Raises:
            OutputError: it was not: the run has changed since.
        """
        high, low = (np.uint64(int.from_bytes(half)) for half in (value[:8], value[8:]))
        place = int(self._high.searchsorted(high))
        while place < len(self._high) and self._high[place] == high:
            if self._hashes[place, 1] == low:
                return int(self._ids[place])
            place += 1
        raise OutputError("the run has changed while it was exported; start the export again")

    def in_order(self) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """Hashes and numbers, by number."""
        order = np.argsort(self._ids)
        return self._hashes[order], self._ids[order]

    def _sort(self) -> None:
        order = np.lexsort([self._hashes[:, 1], self._hashes[:, 0]])
        self._hashes, self._ids = self._hashes[order], self._ids[order]
        self._high = np.ascontiguousarray(self._hashes[:, 0])

    def _find(self, wanted: Hashes) -> npt.NDArray[np.int64]:
        """Place of each, -1 where it is not there."""
        places = np.searchsorted(self._high, wanted[:, 0]).astype(np.int64)
        found = np.full(len(wanted), -1, np.int64)
        open_ = np.arange(len(wanted))
        while len(open_):  # a second round only where two hashes agree in their first half
            inside = places[open_] < len(self._high)
            open_ = open_[inside]
            here = places[open_]
            open_ = open_[self._high[here] == wanted[open_, 0]]
            here = places[open_]
            same = self._hashes[here, 1] == wanted[open_, 1]
            found[open_[same]] = here[same]
            open_ = open_[~same]
            places[open_] += 1
        return found


@dataclass
class Ids:
    """The numbers of an export.

    Attributes:
        images: by `image_hash`.
        annotations: by `annotation_hash`.
        categories: concept -> number from 1, without gaps.
    """

    images: Numbers = field(default_factory=Numbers)
    annotations: Numbers = field(default_factory=Numbers)
    categories: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def read(to: str, kind: str) -> Ids:
        """The numbers that an earlier export to the same place gave; none if there was none.

        Args:
            to: folder of the export.
            kind: name of its format.

        Raises:
            OutputError: another format is there, or the file is damaged.
        """
        address = f"{to}/{FILE}"
        if not exists(address):
            return Ids()
        try:
            return _read(address, kind)
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise OutputError(
                f"{address} is damaged ({error}); export to another folder, where everything gets "
                f"new numbers"
            ) from error

    def add_concepts(self, names: Iterable[str]) -> None:
        """Gives the next numbers to concepts that have none."""
        for name in names:
            self.categories.setdefault(name, len(self.categories) + 1)

    def write(self, to: str, kind: str) -> str:
        """Writes TO/ids.parquet, whole or not at all.

        Returns:
            64 hex digits over what it says.
        """
        about = {"format": kind, "categories": self.categories}
        said = json.dumps(about, ensure_ascii=False)
        digest = hashlib.sha256(said.encode())
        schema = _SCHEMA.with_metadata({_MINE: said.encode()})
        with (
            whole_file(f"{to}/{FILE}") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for name, numbers in zip(_KINDS, (self.images, self.annotations), strict=True):
                hashes, ids = numbers.in_order()
                for start in range(0, len(ids), _AT_ONCE):
                    some = slice(start, start + _AT_ONCE)
                    data = hashes[some].astype(">u8").tobytes()
                    digest.update(data + ids[some].tobytes())
                    writer.write_batch(_batch(name, data, ids[some], schema))
        return digest.hexdigest()


def _batch(kind: str, data: bytes, ids: npt.NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    count = len(ids)
    hashes = pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(data)])
    columns = [pa.array([kind] * count), hashes, pa.array(ids)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read(address: str, kind: str) -> Ids:
    found: Mapping[str, list[Any]] = {name: [[], []] for name in _KINDS}
    with open_input(address) as handle:
        file = pq.ParquetFile(handle)
        about = json.loads((file.schema_arrow.metadata or {})[_MINE])
        if about["format"] != kind:
            raise OutputError(
                f"{address.rpartition('/')[0]} holds an export of format {about['format']}; "
                f"choose another --to for {kind}"
            )
        for batch in file.iter_batches(_AT_ONCE):
            for name in _KINDS:
                chosen = batch.filter(pa.compute.equal(batch["kind"], name))
                raw = b"".join(chosen["hash"].to_pylist())
                found[name][0].append(np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2))
                found[name][1].append(chosen["id"].to_numpy())
    images, annotations = (_numbers(*found[name]) for name in _KINDS)
    return Ids(images, annotations, dict(about["categories"]))


def _numbers(hashes: list[Hashes], ids: list[npt.NDArray[np.int64]]) -> Numbers:
    return Numbers(np.concatenate(hashes), np.concatenate(ids)) if hashes else Numbers()
