"""What a format has to do: open files for one side of a split, take images, close them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, ClassVar, Literal

from ipseg.objects import Object
from ipseg.storage.streams import whole_file

# What may be lost on the way, as reports say it.
EMPTY_MASKS = "objects with an empty mask, left out"
HOLES = "holes filled"
JOINED = "objects of several parts, joined by a line"
SPLIT = "further rows for objects of several parts"
HIDDEN = "objects hidden by others altogether"
COVERED = "pixels that another object has as well, which has them now"
REPEATED = "objects with the outline of another one of their concept, left out"


@dataclass(frozen=True)
class Options:
    """Choices within a format.

    Attributes:
        segmentation: of COCO: run lengths, or outlines along the edges of pixels.
        bridge_holes: outlines with holes, joined by a double line; else such a mask stays as it is.
        tolerance: pixels that an outline may be simplified by.
        parts: of YOLO: one row for an object, or one for each of its parts.
        per_file: images in one file, None for the format's own number.
    """

    segmentation: Literal["rle", "polygon"] = "rle"
    bridge_holes: bool = False
    tolerance: float = 0.0
    parts: Literal["join", "split"] = "join"
    per_file: int | None = None


@dataclass(frozen=True)
class About:
    """What the writers of an export have in common.

    Attributes:
        to: folder of the export, without a slash at its end.
        categories: concept -> number from 1, in order of the numbers.
        options: within the format.
        images: side -> images that are to come, at most.
        refers: whether the images stay where they are.
        model: method and profile.
        config_sha256: of the settings.
        score_kind: what the scores mean, in words.
        lost: what was lost, by kind; the writers add to it.
        files: names of the files that are about many images; the writers add to them.
    """

    to: str
    categories: Mapping[str, int]
    options: Options
    images: Mapping[str, int]
    refers: bool
    model: str
    config_sha256: str
    score_kind: str
    lost: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Annotation:
    """One object of an image.

    Attributes:
        id: number, the same in every export of it.
        category: number of its concept.
        found: the object; its mask is not empty.
    """

    id: int
    category: int
    found: Object


@dataclass(frozen=True)
class Entry:
    """One image of an export.

    Attributes:
        id: number, the same in every export of it.
        key: in the run; of a frame, with the frame's name behind it.
        name: of its file below the folder of images, with forward slashes; where it is referred
            to, its key if that is the end of its address, else the address.
        stem: for further files about it: a safe path without ending.
        uri: where it comes from.
        width: pixels, upright.
        height: pixels.
        objects: in the order of the run.
        data: the encoded image, for formats that hold the images; None if it is referred to.
    """

    id: int
    key: str
    name: str
    stem: str
    uri: str
    width: int
    height: int
    objects: Sequence[Annotation]
    data: bytes | None = None


class Writer(ABC):
    """Writes one side of a split in one format; the base opens and closes.

    Attributes:
        name: of the format.
        owns: files and folders directly below the export that it writes; patterns.
        folder: of the images; `{side}` stands for the side. "" where the format holds them.
        by_path: readers find the labels of an image by its path alone.
        jpeg: images have to be JPEG files.
        flat: images lie in one folder.
        reserved: names that no folder of images may have.
        may_refer: whether images can stay where they are.
        most_categories: None for any number.
        choices: fields of `Options` that the format has a use for.
    """

    name: ClassVar[str]
    owns: ClassVar[tuple[str, ...]]
    folder: ClassVar[str] = "images/{side}"
    by_path: ClassVar[bool] = False
    jpeg: ClassVar[bool] = False
    flat: ClassVar[bool] = False
    reserved: ClassVar[frozenset[str]] = frozenset()
    may_refer: ClassVar[bool] = True
    most_categories: ClassVar[int | None] = None
    choices: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, side: str, about: About) -> None:
        self.side, self.about = side, about
        self.files = ExitStack()  # open files, which appear when it is left without an error

    def __enter__(self) -> Writer:
        """Opens it."""
        try:
            self.open()
        except BaseException:
            self.files.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Completes its files, or leaves none after an error."""
        if error is not None:
            self.files.__exit__(kind, error, trace)
            return
        with self.files:
            self.close()

    def open(self) -> None:  # noqa: B027  (a format of one file for each image has nothing to open)
        """Opens files."""

    def whole(self, name: str) -> IO[bytes]:
        """Opens a file of the export, which appears when the writer is closed without an error."""
        self.about.files.append(name)
        return self.files.enter_context(whole_file(f"{self.about.to}/{name}"))

    @abstractmethod
    def add(self, entry: Entry) -> None:
        """Takes one image."""

    def close(self) -> None:  # noqa: B027
        """Writes what is left."""

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """Name -> content of small files that are about all sides."""
        return {}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown for the card: how to load it, and what to know of the format."""
        raise NotImplementedError

    @classmethod
    def front_matter(cls, about: About, sides: Sequence[str]) -> dict[str, Any] | None:
        """What stands at the beginning of the card for programs; None for nothing."""
        return None
