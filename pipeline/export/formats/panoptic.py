"""COCO's panoptic format: a PNG for each image whose colours are numbers of objects, and a JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ipseg.storage.streams import append_file, scratch_file, write_one
from ipseg.vision.images import encode_png
from ipseg.vision.masks import encode_rle, rle_bbox
from ipseg.vision.painting import palette
from pipeline.export.formats.coco import categories, image_record, info
from pipeline.export.formats.png import numbers_of
from pipeline.export.json_array import JsonArray
from pipeline.export.writer import COVERED, HIDDEN, About, Entry, Writer


class Panoptic(Writer):
    """`annotations/panoptic_SIDE.json`, and PNGs below `annotations/panoptic_SIDE/`.

    A segment's number is its place among the objects of its image, from 1: numbers of annotations
    may not fit into 24 bits.
    """

    name: ClassVar[str] = "coco-panoptic"
    owns: ClassVar[tuple[str, ...]] = ("annotations", "images")

    def open(self) -> None:
        """Opens the JSON, and a temporary file for its second list."""
        self._folder = f"{self.about.to}/annotations/panoptic_{self.side}"
        self._file = self.whole(f"annotations/panoptic_{self.side}.json")
        self._rest = self.files.enter_context(scratch_file(f"{self._folder}.json"))
        start = json.dumps({"info": info(self.about), "licenses": []})[:-1]
        self._images = JsonArray(self._file, start + ', "images": [')
        self._annotations = JsonArray(self._rest, "")

    def add(self, entry: Entry) -> None:
        """Paints an image's objects over each other."""
        numbers = numbers_of(entry)
        segments = []
        for number, each in enumerate(entry.objects, start=1):
            left = numbers == number
            area = int(np.count_nonzero(left))
            self.about.lost[COVERED] += each.found.area - area
            if not area:
                self.about.lost[HIDDEN] += 1
                continue
            about = {"id": number, "category_id": each.category, "iscrowd": 0}
            bbox = [int(v) for v in rle_bbox(encode_rle(left))]
            segments.append(about | {"area": area, "bbox": bbox, "annotation_id": each.id})
        name = f"{entry.stem}.png"
        colours = np.stack([(numbers >> shift) & 255 for shift in (0, 8, 16)], axis=2)
        write_one(f"{self._folder}/{name}", encode_png(colours.astype(np.uint8)))
        self._images.add(image_record(entry))
        self._annotations.add(
            {"image_id": entry.id, "file_name": name, "segments_info": segments},
        )

    def close(self) -> None:
        """Appends the second list and the concepts."""
        self._images.end('], "annotations": [')
        append_file(self._file, self._rest)
        colours = palette(max(256, len(self.about.categories) + 1))
        listed: list[dict[str, Any]] = [
            {**each, "isthing": 1, "color": colours[each["id"]].tolist()}
            for each in categories(self.about)
        ]
        self._file.write(f'\n], "categories": {json.dumps(listed)}}}\n'.encode())

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: what the numbers are."""
        return (
            f"PNGs are below `annotations/panoptic_{sides[0]}/`; the number of a segment is "
            "R + 256 G + 65536 B, 0 is none. Each pixel has one object: where masks overlap, the "
            "one with the higher score."
        )
