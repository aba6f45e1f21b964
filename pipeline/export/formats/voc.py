"""PASCAL VOC's folders for segmentation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import ClassVar
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from ipseg.storage.files import read_bytes
from ipseg.storage.streams import write_one
from ipseg.vision.painting import palette
from pipeline.export.formats.png import MOST, index_png, maps_of
from pipeline.export.markup import xml_text
from pipeline.export.writer import About, Entry, Writer

_ROOT = "VOCdevkit/VOC2012"
_NONE: AttributesImpl[str] = AttributesImpl({})
_LISTS = f"{_ROOT}/ImageSets/Segmentation"


class Voc(Writer):
    """`VOCdevkit/VOC2012/`, all sides in the same folders, separated by lists of names."""

    name: ClassVar[str] = "voc"
    owns: ClassVar[tuple[str, ...]] = ("VOCdevkit",)
    folder: ClassVar[str] = f"{_ROOT}/JPEGImages"
    by_path: ClassVar[bool] = True
    jpeg: ClassVar[bool] = True
    flat: ClassVar[bool] = True
    most_categories: ClassVar[int | None] = MOST

    def open(self) -> None:
        """Opens the list of names."""
        self._list = self.whole(f"{_LISTS}/{self.side}.txt")

    def add(self, entry: Entry) -> None:
        """Writes the maps of an image, and the boxes of its objects."""
        root = f"{self.about.to}/{_ROOT}"
        semantic, instances = maps_of(entry, self.about)
        write_one(f"{root}/SegmentationClass/{entry.stem}.png", index_png(semantic))
        write_one(f"{root}/SegmentationObject/{entry.stem}.png", index_png(instances))
        write_one(f"{root}/Annotations/{entry.stem}.xml", _boxes(entry))
        self._list.write(f"{entry.stem}\n".encode())

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """labelmap.txt and, unless a side has this name, trainval.txt."""
        colours = palette().tolist()
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for name, number in about.categories.items():
            red, green, blue = colours[number]
            label = xml_text(name).translate({ord(c): "_" for c in ":\r\n"})
            lines.append(f"{label}:{red},{green},{blue}::")
        files = {f"{_ROOT}/labelmap.txt": ("\n".join(lines) + "\n").encode()}
        if "trainval" not in sides:
            known = [side for side in sides if side in ("train", "val")]
            names = [read_bytes(f"{about.to}/{_LISTS}/{side}.txt") for side in known]
            files[f"{_LISTS}/trainval.txt"] = b"".join(names)
        return files

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: torchvision."""
        return (
            "```python\nfrom torchvision.datasets import VOCSegmentation\n\n"
            f'data = VOCSegmentation(".", year="2012", image_set="{sides[0]}", download=False)\n'
            "```\n\nImages are JPEG: others were encoded again with quality 95. Objects have no "
            "border of 255 around them, and each pixel has one object: where masks overlap, the "
            "one with the higher score. Colours of the palette: `labelmap.txt`."
        )


def _boxes(entry: Entry) -> bytes:
    """The XML of an image: its size, and a box for each object, in pixels from 1."""
    buffer = io.BytesIO()
    xml = XMLGenerator(buffer, "utf-8", short_empty_elements=True)
    size = {"width": entry.width, "height": entry.height, "depth": 3}
    xml.startElement("annotation", _NONE)
    _element(xml, "folder", "VOC2012")
    _element(xml, "filename", entry.name)
    _group(xml, "size", size)
    _element(xml, "segmented", int(bool(entry.objects)))
    for each in entry.objects:
        x, y, width, height = (int(v) for v in each.found.bbox)
        xml.startElement("object", _NONE)
        _element(xml, "name", xml_text(each.found.concept))
        box = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
        _group(xml, "bndbox", box)
        xml.endElement("object")
    xml.endElement("annotation")
    return buffer.getvalue() + b"\n"


def _group(xml: XMLGenerator, name: str, values: Mapping[str, object]) -> None:
    xml.startElement(name, _NONE)
    for key, value in values.items():
        _element(xml, key, value)
    xml.endElement(name)


def _element(xml: XMLGenerator, name: str, value: object) -> None:
    xml.startElement(name, _NONE)
    xml.characters(str(value))
    xml.endElement(name)
