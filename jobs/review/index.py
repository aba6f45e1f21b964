"""What a run found, as arrays: enough to filter and order its objects without reading a mask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.errors import OutputError
from pipeline.export.splits import Splits
from pipeline.labels.thresholds import confidences
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import Place, part_files, read_batches
from pipeline.sources.shard import key_hash

_WANTED = ("key", "key_hash", "row_status", "gone", "run_id", "width", "height", "objects")
_HEAVY = tuple(
    f"objects.list.element.{name}"
    for name in ("segmentation", "points", "variant", "status", "predicted_iou")
)
_FIELDS = {"instance": np.int32, "frame": np.int32, "score": np.float64, "area": np.int64}
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Index:
    """The images of a run that did not fail, and their objects; an object is a number from 0 on.

    Attributes:
        out: run folder.
        version: changes with the rows that the run folder has.
        run_id: of the newest start of the run.
        images: the run's settings for images, for decoding them again.
        concepts: names, sorted as the run has them.
        rows: images of the run, failed ones among them.
        failed: images that failed, or are poisoned.
        parts: addresses of the part files.
        keys: of the images.
        hashes: of the keys, sorted.
        by_hash: image of each hash.
        part: number of each image's part.
        place: of each image in its part.
        size: (images, 2) width and height in pixels.
        run: ordinal of the start that wrote each image.
        first: of each image its first object; one more at the end.
        image: of each object.
        concept: of each object, a number in `concepts`.
        instance: of each object.
        frame: of each object.
        score: of each object.
        confidence: of each object (`Object.confidence`), what thresholds are compared with.
        area: of each object, pixels.
        box: (objects, 4) x, y, width, height.
        sides: of a split, names; none where there is no split.
        side: of each image, a number in `sides`.
    """

    out: str
    version: str
    run_id: str
    images: dict[str, Any]
    concepts: tuple[str, ...]
    rows: int
    failed: int
    parts: tuple[str, ...]
    keys: pa.Array
    hashes: Numbers
    by_hash: Numbers
    part: Numbers
    place: Numbers
    size: Numbers
    run: Numbers
    first: Numbers
    image: Numbers
    concept: Numbers
    instance: Numbers
    frame: Numbers
    score: Numbers
    confidence: Numbers
    area: Numbers
    box: Numbers
    sides: tuple[str, ...]
    side: Numbers

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.image)

    def key(self, image: int) -> str:
        """Key of an image."""
        key: str = self.keys[image].as_py()
        return key

    def where(self, image: int) -> Place:
        """Where the row of an image is stored."""
        return Place(self.key(image), self.parts[self.part[image]], int(self.place[image]))

    def objects_of(self, image: int) -> range:
        """The objects of an image, in the order in which its row has them."""
        return range(int(self.first[image]), int(self.first[image + 1]))

    def find(self, key: str) -> int | None:
        """The image with this key; None if there is none."""
        wanted = np.uint64(_short(key_hash(key)))
        at = int(np.searchsorted(self.hashes, wanted))
        while at < len(self.hashes) and self.hashes[at] == wanted:
            image = int(self.by_hash[at])
            if self.key(image) == key:
                return image
            at += 1
        return None


def read_index(out: str, splits: Splits | None = None) -> Index:
    """Reads the light columns of a run once, however many rows it has; it may be going on.

    Args:
        out: run folder.
        splits: to tell the sides of images by; None if that is not wanted.

    Raises:
        ConfigError: a column of the split names no side.
        OutputError: there is no run at this place, nothing of it is written, or a part is damaged
            or has no such column.
        OSError: it cannot be read.
    """
    out = out.rstrip("/")
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    parts = part_files(out)
    read = _Reading(list(manifest.about["concepts"]), splits)
    for number, part in enumerate(parts):
        read.part(number, part)
    return read.index(out, parts, manifest)


class _Reading:
    """Arrays of one part after the other."""

    def __init__(self, concepts: list[str], splits: Splits | None) -> None:
        self._splits = splits
        self.sides: dict[str, int] = {}
        self.concepts = {name: number for number, name in enumerate(concepts)}
        self.rows = self.failed = 0
        self.columns: dict[str, list[Any]] = {}
        self._shard = ""
        self._seen: set[bytes] = set()

    def part(self, number: int, address: str) -> None:
        shard = address.rpartition("/")[0]
        if shard != self._shard:  # a key has one shard, so no more need be remembered
            self._shard, self._seen = shard, set()
        first = 0
        wanted = (*_WANTED, *(self._splits.carried if self._splits else ()))
        for batch in read_batches(address, wanted, without=_HEAVY):
            self._batch(number, first, batch)
            first += len(batch)

    def _batch(self, part: int, first: int, batch: pa.RecordBatch) -> None:
        hashes = batch["key_hash"].to_pylist()
        new = np.zeros(len(batch), bool)
        for row, (key, gone) in enumerate(zip(hashes, batch["gone"].to_pylist(), strict=True)):
            if not gone and key not in self._seen:
                self._seen.add(key)
                new[row] = True
        broken = pc.is_in(batch["row_status"], value_set=pa.array(BROKEN))
        good = new & ~np.asarray(broken.to_numpy(zero_copy_only=False), bool)
        self.rows += int(new.sum())
        self.failed += int(new.sum() - good.sum())
        kept = batch.filter(pa.array(good))
        objects = kept["objects"]
        found = objects.flatten()
        self._add("keys", kept["key"])
        short = [_short(key) for key, wanted in zip(hashes, good, strict=True) if wanted]
        self._add("hashes", np.array(short, np.uint64))
        self._add("part", np.full(len(kept), part, np.int32))
        self._add("place", (first + np.flatnonzero(good)).astype(np.int32))
        sizes = [_numbers(kept[name]) for name in ("width", "height")]
        self._add("size", np.stack(sizes, axis=1).astype(np.int32))
        self._add("run", kept["run_id"])
        self._add("side", self._sides(kept))
        self._add("count", _numbers(pc.list_value_length(objects)).astype(np.int64))
        self._add("concept", self._concepts(found.field("concept")))
        for name, kind in _FIELDS.items():
            self._add(name, _numbers(found.field(name)).astype(kind))
        self._add("confidence", confidences(found))
        box = found.field("bbox").flatten().to_numpy(zero_copy_only=False)
        self._add("box", box.reshape(-1, 4).astype(np.float32))

    def _add(self, name: str, values: Any) -> None:  # noqa: ANN401  (of Arrow or NumPy)
        self.columns.setdefault(name, []).append(values)

    def _sides(self, batch: pa.RecordBatch) -> Numbers:
        if self._splits is None:
            return np.zeros(len(batch), np.int16)
        records = batch.select(["key", *self._splits.carried]).to_pylist()
        names = (self._splits.side(record["key"], record) for record in records)
        numbers = [self.sides.setdefault(name, len(self.sides)) for name in names]
        return np.array(numbers, np.int16)

    def _concepts(self, names: pa.Array) -> Numbers:
        coded = names.dictionary_encode()
        numbers = [
            self.concepts.setdefault(name, len(self.concepts))
            for name in coded.dictionary.to_pylist()
        ]
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.array(numbers, np.int32)[codes] if numbers else codes.astype(np.int32)

    def index(self, out: str, parts: list[str], manifest: Manifest) -> Index:
        joined = {
            name: np.concatenate(values)
            for name, values in self.columns.items()
            if name not in ("keys", "run")
        }
        order = np.argsort(joined["hashes"], kind="stable")
        counts = joined.pop("count")
        runs = pa.chunked_array(self.columns["run"], pa.string()).to_pylist()
        ordinal = {run_id: number for number, run_id in enumerate(sorted(set(runs)))}
        rows = "\n".join(part.rpartition("/data/")[2] for part in parts)
        return Index(
            **{name: joined[name] for name in ("part", "place", "size", "side")},
            **{name: joined[name] for name in ("concept", "box")},
            sides=tuple(self.sides),
            confidence=joined["confidence"],
            **{name: joined[name] for name in _FIELDS},
            out=out,
            version=hashlib.sha256(rows.encode()).hexdigest()[:12],
            run_id=str(manifest.runs[-1]["run_id"]),
            images=dict(manifest.about["config"]["images"]),
            concepts=tuple(self.concepts),
            rows=self.rows,
            failed=self.failed,
            parts=tuple(parts),
            keys=pa.concat_arrays(self.columns["keys"]),
            hashes=joined["hashes"][order],
            by_hash=order,
            run=np.array([ordinal[run_id] for run_id in runs], np.int32),
            first=np.concatenate([[0], np.cumsum(counts)]),
            image=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        )


def _numbers(values: pa.Array) -> Numbers:
    return pc.fill_null(values, 0).to_numpy(zero_copy_only=False)


def _short(hash: bytes) -> int:
    return int.from_bytes(hash[:8], "big")
