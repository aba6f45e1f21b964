"""Numbers of images and annotations that stay the same whenever an export is made again.

TO/ids.parquet remembers them: 16 bytes of hash and a number for each. What is known keeps its
number, what is new gets the next ones in the order of the hashes, and the number of what is gone is
not used again. Concepts keep their numbers too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
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

_Half = npt.NDArray[np.uint64]  # (n,)
_Ids = npt.NDArray[np.int64]  # (n,)
_NONE = np.empty(0, np.uint64)
_NO_IDS = np.empty(0, np.int64)


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

    def __init__(self, high: _Half = _NONE, low: _Half = _NONE, ids: _Ids = _NO_IDS) -> None:
        self._high, self._low, self._ids = high, low, ids  # halves of hashes, in their order
        self._order(np.lexsort([low, high]))
        self._new = bytearray()

    def __len__(self) -> int:
        """How many have a number."""
        return len(self._ids)

    def add(self, value: bytes) -> None:
        """Notes one that needs a number; `assign` gives it one if it has none."""
        if self._place(value) is None:
            self._new += value

    def assign(self) -> None:
        """Gives the next numbers to what was added and has none, in the order of the hashes."""
        high, low = halves(self._new)
        self._new = bytearray()
        order = np.lexsort([low, high])
        high, low = high[order], low[order]
        fresh = np.ones(len(high), bool)
        fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        high, low = high[fresh], low[fresh]
        last = int(self._ids.max(initial=0))
        ids = np.arange(last + 1, last + 1 + len(high), dtype=np.int64)
        if not len(self):
            self._high, self._low, self._ids = high, low, ids
        elif len(high):
            self._high, self._low = np.append(self._high, high), np.append(self._low, low)
            self._ids = np.append(self._ids, ids)
            self._order(np.lexsort([self._low, self._high]))

    def of(self, value: bytes) -> int:
        """The number of one that was added.

        Raises:
            OutputError: it was not: the run has changed since.
        """
        place = self._place(value)
        if place is None:
            raise OutputError("the run has changed while it was exported; start the export again")
        return int(self._ids[place])

    def in_order(self) -> Iterator[tuple[bytes, _Ids]]:
        """Hashes, one behind the other, and numbers, by number, some at a time."""
        order = np.argsort(self._ids)
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            hashes = np.stack([self._high[some], self._low[some]], axis=1)
            yield hashes.astype(">u8").tobytes(), self._ids[some]

    def _order(self, order: _Ids) -> None:
        for values in (self._high, self._low, self._ids):
            values[:] = values[order]

    def _place(self, value: bytes) -> int | None:
        """Where one stands; None if it has no number."""
        high, low = (np.uint64(int.from_bytes(half)) for half in (value[:8], value[8:]))
        place = int(self._high.searchsorted(high))
        while place < len(self) and self._high[place] == high:
            if self._low[place] == low:
                return place
            place += 1
        return None


def halves(hashes: bytes | bytearray) -> tuple[_Half, _Half]:
    """First and second 8 bytes of each of some hashes, as numbers."""
    both = np.frombuffer(hashes, ">u8")
    return both[0::2].astype(np.uint64), both[1::2].astype(np.uint64)


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
                for hashes, ids in numbers.in_order():
                    digest.update(hashes + ids.tobytes())
                    writer.write_batch(_batch(name, hashes, ids, schema))
        return digest.hexdigest()


def _batch(kind: str, data: bytes, ids: npt.NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    count = len(ids)
    hashes = pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(data)])
    columns = [pa.array([kind] * count), hashes, pa.array(ids)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read(address: str, kind: str) -> Ids:
    with open_input(address) as handle:
        file = pq.ParquetFile(handle)
        about = json.loads((file.schema_arrow.metadata or {})[_MINE])
        if about["format"] != kind:
            raise OutputError(
                f"{address.rpartition('/')[0]} holds an export of format {about['format']}; "
                f"choose another --to for {kind}"
            )
        images, annotations = (_read_kind(file, name) for name in _KINDS)
    return Ids(images, annotations, dict(about["categories"]))


def _read_kind(file: pq.ParquetFile, name: str) -> Numbers:
    """The numbers of one kind, in arrays that are made once: parts of them would take it twice."""
    # One row group after the other: an iterator over all of them keeps tens of megabytes.
    groups = range(file.num_row_groups)
    count = 0
    for group in groups:
        kinds = file.read_row_group(group, columns=["kind"], use_threads=False)["kind"]
        count += pc.sum(pc.equal(kinds, name)).as_py() or 0
    high, low, ids = np.empty(count, np.uint64), np.empty(count, np.uint64), np.empty(count, int)
    start = 0
    for group in groups:
        rows = file.read_row_group(group, use_threads=False)
        chosen = rows.filter(pc.equal(rows["kind"], name))
        some = slice(start, start + len(chosen))
        high[some], low[some] = halves(b"".join(chosen["hash"].to_pylist()))
        ids[some] = chosen["id"].to_numpy()
        start = some.stop
    return Numbers(high, low, ids)
