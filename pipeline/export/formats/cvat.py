"""CVAT's XML for images, version 1.1, with masks as run lengths of their box."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import ClassVar
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np

from ipseg.rows import Mask
from pipeline.export.markup import xml_text
from pipeline.export.rolling import RollingWriter
from pipeline.export.writer import About, Annotation, Entry

_NONE: AttributesImpl[str] = AttributesImpl({})


class Cvat(RollingWriter):
    """`SIDE.xml`, or `SIDE-00000.xml` ...: one for each task of at most 2,000 images.

    Beside each is a list of its images, since a task must have all images of its XML.
    """

    name: ClassVar[str] = "cvat"
    owns: ClassVar[tuple[str, ...]] = ("*.xml", "*.txt", "images")
    per_file: int | None = 2000

    def begin(self) -> None:
        """Opens a file and lists the labels."""
        file = self.whole(f"{self.side}{self.suffix}.xml")
        self._names = self.whole(f"{self.side}{self.suffix}.txt")
        self._xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        self._xml.startDocument()
        self._xml.startElement("annotations", _NONE)
        self._text("version", "1.1")
        for name in ("meta", "task", "labels"):
            self._xml.startElement(name, _NONE)
        for concept in self.about.categories:
            self._xml.startElement("label", _NONE)
            self._text("name", xml_text(concept))
            self._text("attributes", "")
            self._xml.endElement("label")
        for name in ("labels", "task", "meta"):
            self._xml.endElement(name)
        self._line()

    def put(self, entry: Entry) -> None:
        """Writes an image and its masks."""
        image = {
            **{"id": str(entry.id), "name": xml_text(entry.name)},
            **{"width": str(entry.width), "height": str(entry.height)},
        }
        self._names.write(f"{entry.name}\n".encode())
        self._xml.startElement("image", AttributesImpl(image))
        for each in entry.objects:
            self._line()
            self._mask(each)
        self._xml.endElement("image")
        self._line()

    def end(self) -> None:
        """Ends the document."""
        self._xml.endElement("annotations")
        self._xml.endDocument()
        self._line()

    def _mask(self, each: Annotation) -> None:
        left, top, width, height = (int(v) for v in each.found.bbox)
        inside = each.found.mask[top : top + height, left : left + width]
        attributes = {
            **{"label": xml_text(each.found.concept), "source": "auto", "occluded": "0"},
            **{"rle": ", ".join(map(str, row_runs(inside))), "left": str(left), "top": str(top)},
            **{"width": str(width), "height": str(height), "z_order": "0"},
        }
        self._xml.startElement("mask", AttributesImpl(attributes))
        self._xml.endElement("mask")

    def _text(self, name: str, text: str) -> None:
        self._xml.startElement(name, _NONE)
        self._xml.characters(text)
        self._xml.endElement(name)

    def _line(self) -> None:
        self._xml.ignorableWhitespace("\n")

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: a task, and the import."""
        files = (
            "whose names in the task are those of the XML"
            if about.refers
            else f"`images/{sides[0]}/`, with its sub-folders"
        )
        return (
            f"Make a task with the labels of the XML and the images ({files}), then "
            "*Upload annotations*, format *CVAT 1.1*, with *Convert masks to polygons* off. Images "
            "are matched by name. Where there are several XML files, each is for a task of its own "
            "with the images that the list beside it names."
        )


def row_runs(mask: Mask) -> list[int]:
    """Run lengths of an (H, W) bool mask, row by row, background first."""
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths = np.diff(ends, prepend=0).tolist()
    return list(chain([0] if flat[0] else [], lengths))
