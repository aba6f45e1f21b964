"""The images of a labelled row: one, or the frames of a sequence, each with its own objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ipseg.objects import Object
from pipeline.export.images import Original
from pipeline.labels.selection import LabelledRow
from pipeline.sources.listing import read_listed


@dataclass(frozen=True)
class LabelledImage:
    """One image with its labels.

    Attributes:
        key: of the row; of a frame, with the name of its file behind it.
        row_key: of the row.
        frame: index in the sequence, 0 in a still image.
        original: where its pixels are.
        objects: its labels, with masks that are not empty.
        empty_masks: labels without a pixel, which are left out.
    """

    key: str
    row_key: str
    frame: int
    original: Original
    objects: tuple[Object, ...]
    empty_masks: int


@dataclass(frozen=True)
class Frames:
    """Opens rows of a run.

    Attributes:
        out: run folder.
        sequences: whether its rows are sequences.
    """

    out: str
    sequences: bool

    def of(self, row: LabelledRow) -> Iterator[LabelledImage]:
        """The images of a row that has not failed, in order."""
        if not self.sequences:
            yield self._image(row, row.key, 0, row.record["uri"])
            return
        listed = read_listed(self.out, row.place.shard, row.key)
        for frame, uri in enumerate((listed or {}).get("frame_uris") or ()):
            yield self._image(row, f"{row.key}/{uri.rpartition('/')[2]}", frame, uri)

    def _image(self, row: LabelledRow, key: str, frame: int, uri: str) -> LabelledImage:
        record = row.record
        stored = None if self.sequences else record["orientation"]
        original = Original(uri, record["crop"], record["width"], record["height"], stored)
        here = [each for each in row.objects if each.frame == frame]
        objects = tuple(each for each in here if each.area)
        return LabelledImage(key, row.key, frame, original, objects, len(here) - len(objects))
