"""COCO's JSON of instances: images and objects in one file for each side.

Both lists grow while images come, so objects are collected in a temporary file and appended at the
end: memory stays the same whatever the number of images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from ipseg.storage.streams import append_file, scratch_file
from ipseg.vision.outlines import bridged, parts_of, simplified
from pipeline.export.json_array import JsonArray
from pipeline.export.rolling import RollingWriter
from pipeline.export.writer import About, Annotation, Entry

KEPT_AS_RLE = "masks with a hole that stay run lengths, because outlines have none"


class Coco(RollingWriter):
    """`annotations/instances_SIDE.json`; file names are relative to `images/SIDE`."""

    name: ClassVar[str] = "coco"
    owns: ClassVar[tuple[str, ...]] = ("annotations", "images")
    choices: ClassVar[frozenset[str]] = frozenset(
        {"segmentation", "bridge_holes", "tolerance", "per_file"}
    )

    def begin(self) -> None:
        """Opens a file, and a temporary one for its objects."""
        name = f"annotations/instances_{self.side}{self.suffix}.json"
        self._file = self.whole(name)
        self._rest = self.files.enter_context(scratch_file(f"{self.about.to}/{name}"))
        start = json.dumps({"info": info(self.about), "licenses": []})[:-1]
        self._listed = JsonArray(self._file, start + ', "images": [')
        self._annotations = JsonArray(self._rest, "")

    def put(self, entry: Entry) -> None:
        """Writes an image, and its objects to the temporary file."""
        self._listed.add(image_record(entry))
        for each in entry.objects:
            self._annotations.add(self._annotation(entry, each))

    def end(self) -> None:
        """Appends the objects and the concepts."""
        self._listed.end('], "annotations": [')
        append_file(self._file, self._rest)
        self._file.write(f'\n], "categories": {json.dumps(categories(self.about))}}}\n'.encode())

    def _annotation(self, entry: Entry, each: Annotation) -> dict[str, Any]:
        found = each.found
        return {
            **{"id": each.id, "image_id": entry.id, "category_id": each.category, "iscrowd": 0},
            **{"bbox": found.bbox, "area": found.area},
            "segmentation": self._segmentation(each),
            **{"score": round(float(found.score), 6), "status": found.status},
        }

    def _segmentation(self, each: Annotation) -> Any:  # noqa: ANN401  (polygons, or run lengths)
        options, rle = self.about.options, each.found.segmentation
        if options.segmentation == "polygon":
            parts = parts_of(each.found.mask)
            if options.bridge_holes or not any(part.holes for part in parts):
                rings = [bridged(part.outer, part.holes) for part in parts]
                return [simplified(r, options.tolerance).ravel().tolist() for r in rings]
            self.about.lost[KEPT_AS_RLE] += 1
        return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"]}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: pycocotools."""
        side = sides[0]
        return (
            "```python\n"
            "from pycocotools.coco import COCO\n\n"
            f'coco = COCO("annotations/instances_{side}.json")  '
            f"# file names are below images/{side}/\n"
            "mask = coco.annToMask(coco.anns[1])\n"
            "```\n\n"
            "Masks are run lengths unless they were asked for as polygons: detectron2 needs "
            "`INPUT.MASK_FORMAT=bitmask` for them. Images without objects are listed, as negatives."
        )


def info(about: About) -> dict[str, Any]:
    """What COCO's files say of themselves; nothing that changes when they are written again."""
    return {
        "description": f"pseudo labels by ipseg, {about.model}",
        "version": about.config_sha256[:16],
        "score_kind": about.score_kind,
    }


def image_record(entry: Entry) -> dict[str, Any]:
    """An image as COCO has it."""
    return {
        **{"id": entry.id, "file_name": entry.name},
        **{"width": entry.width, "height": entry.height},
    }


def categories(about: About) -> list[dict[str, Any]]:
    """The concepts as COCO has them, numbered from 1 without gaps."""
    return [
        {"id": number, "name": name, "supercategory": ""}
        for name, number in about.categories.items()
    ]
