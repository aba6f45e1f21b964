"""YOLO's text files of outlines, as ultralytics reads them for segmentation.

Its loader cuts coordinates down to integers and fills polygons with their border, so outlines run
through the centres of pixels (`ipseg.vision.centre_outlines`). One row holds one polygon: holes and
parts are joined by double lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import yaml

from ipseg.objects import Object
from ipseg.storage.streams import write_one
from ipseg.vision.centre_outlines import centre_parts, relative
from ipseg.vision.outlines import bridged
from pipeline.export.writer import JOINED, REPEATED, SPLIT, About, Entry, Writer

TOO_SMALL = "objects of less than 4 pixels at training size (image of 640, masks of 160)"
TOO_SMALL_IMAGES = "images below 10 pixels, which ultralytics leaves out"

_MASK_SIDE = 160  # pixels of the masks that are learned, at the usual image size of 640
_LEAST_AREA = 4
_LEAST_SIDE = 10


class Yolo(Writer):
    """`images/SIDE/`, `labels/SIDE/` and `data.yaml`."""

    name: ClassVar[str] = "yolo-seg"
    owns: ClassVar[tuple[str, ...]] = ("images", "labels", "data.yaml")
    by_path: ClassVar[bool] = True
    choices: ClassVar[frozenset[str]] = frozenset({"parts"})
    # The last folder of this name in a path is replaced by `labels`.
    reserved: ClassVar[frozenset[str]] = frozenset({"images"})

    def add(self, entry: Entry) -> None:
        """Writes the labels of an image; an empty file if it has none."""
        lost = self.about.lost
        lost[TOO_SMALL_IMAGES] += min(entry.width, entry.height) < _LEAST_SIDE
        scale = _MASK_SIDE / max(entry.width, entry.height)
        rows: dict[str, None] = {}
        for each in entry.objects:
            lost[TOO_SMALL] += each.found.area * scale**2 < _LEAST_AREA
            for outline in self._outlines(each.found, entry):
                row = f"{each.category - 1} " + " ".join(f"{v:.6f}" for v in outline.ravel())
                lost[REPEATED] += row in rows
                rows[row] = None
        text = "".join(f"{row}\n" for row in rows)
        write_one(f"{self.about.to}/labels/{self.side}/{entry.stem}.txt", text.encode())

    def _outlines(self, found: Object, entry: Entry) -> Iterator[npt.NDArray[np.float64]]:
        parts = centre_parts(found.mask)
        if len(parts) > 1 and self.about.options.parts == "join":
            self.about.lost[JOINED] += 1
            parts = [bridged(parts[0], parts[1:])]
        self.about.lost[SPLIT] += len(parts) - 1
        return (relative(part, entry.width, entry.height) for part in parts)

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """data.yaml; without a `path`, so that its own folder is the root."""
        folders = {side: f"images/{side}" for side in sides}
        folders.setdefault("train", folders[sides[0]])
        folders.setdefault("val", folders["train"])
        names = {number - 1: name for name, number in about.categories.items()}
        content = yaml.safe_dump({**folders, "names": names}, sort_keys=False, allow_unicode=True)
        return {"data.yaml": content.encode()}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: the command, and what the format cannot hold."""
        missing = ""
        if "val" not in sides:
            missing = " There is no side `val`: `data.yaml` names another one, see `--split`."
        return (
            "```\nyolo segment train data=data.yaml model=yolo11n-seg.pt\n```\n\n"
            "(ultralytics is AGPL-3.0.) Holes are joined to their outline by a double line, and so "
            "are the parts of an object; read back by its loader, masks have an IoU of 0.99 to 1."
            f"{missing}"
        )
