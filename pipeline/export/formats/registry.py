"""The formats by the names that they have on the command line."""

from __future__ import annotations

from ipseg.errors import ConfigError
from pipeline.export.formats.coco import Coco
from pipeline.export.formats.cvat import Cvat
from pipeline.export.formats.hf import HuggingFace
from pipeline.export.formats.label_studio import LabelStudio
from pipeline.export.formats.panoptic import Panoptic
from pipeline.export.formats.png import Png
from pipeline.export.formats.voc import Voc
from pipeline.export.formats.webdataset import WebDataset
from pipeline.export.formats.yolo import Yolo
from pipeline.export.writer import Writer

FORMATS: dict[str, type[Writer]] = {
    each.name: each
    for each in (Coco, Panoptic, Yolo, Voc, Png, HuggingFace, WebDataset, LabelStudio, Cvat)
}


def format_of(name: str) -> type[Writer]:
    """The writer of a format.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown format '{name}'; use {', '.join(FORMATS)}")
    return FORMATS[name]
