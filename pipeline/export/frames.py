"""The images of a labelled row: one, or the frames of a sequence, each with its own objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ipseg.errors import OutputError
from ipseg.objects import Object
from pipeline.export.images import Original
from pipeline.labels.selection import LabelledRow
from pipeline.sources.listing import read_details


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


@dataclass
class Frames:
    """Opens rows of a run, which come shard after shard.

    Attributes:
        out: run folder.
        sequences: whether its rows are sequences.
    """

    out: str
    sequences: bool
    _shard: str = ""
    _details: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, row: LabelledRow) -> Iterator[LabelledImage]:
        """The images of a row that has not failed, in order.

        Raises:
            OutputError: it is a sequence, and the run no longer says of which frames.
        """
        if row.place.shard != self._shard:
            self._shard = row.place.shard
            self._details = read_details(self.out, self._shard)
        details = self._details.get(row.key, {})
        if not self.sequences:
            yield _image(row, row.key, 0, Original.of(row.record, row.record["uri"], details))
            return
        if "frame_uris" not in details:
            raise OutputError(
                f"{row.key} is a sequence, but {self.out}/listing, which has its frames, is not "
                f"there"
            )
        for frame, uri in enumerate(details["frame_uris"]):
            key = f"{row.key}/{uri.rpartition('/')[2]}"
            yield _image(row, key, frame, Original.of(row.record, uri, details))


def _image(row: LabelledRow, key: str, frame: int, original: Original) -> LabelledImage:
    here = [each for each in row.objects if each.frame == frame]
    objects = tuple(each for each in here if each.area)
    return LabelledImage(key, row.key, frame, original, objects, len(here) - len(objects))
