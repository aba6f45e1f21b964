"""Formats that hold many images in a file, and begin another one when it is full."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pipeline.export.writer import Entry, Writer


class RollingWriter(Writer):
    """Writes files one after the other, each of some images."""

    choices: ClassVar[frozenset[str]] = frozenset({"per_file"})
    per_file: int | None = None  # images of a file unless the options say otherwise; None for all

    def open(self) -> None:
        """Opens the first file, so that there is one without any image too."""
        asked = self.about.options.per_file
        self._most = asked or self.per_file
        enough = self._most is None or self.about.images[self.side] <= self._most
        self._is_numbered = asked is not None or not enough
        self._number = self._images = 0
        self.begin()

    def add(self, entry: Entry) -> None:
        """Takes one image, into another file if this one is full."""
        if self.is_full(self._images):
            self.end()
            self.files.close()
            self._number += 1
            self._images = 0
            self.begin()
        self.put(entry)
        self._images += 1

    def close(self) -> None:
        """Completes the last file."""
        self.end()

    def is_full(self, images: int) -> bool:
        """Whether an open file with so many images takes no more."""
        return self._most is not None and images >= self._most

    @property
    def number(self) -> int:
        """Of the open file, from 0."""
        return self._number

    @property
    def suffix(self) -> str:
        """What the name of the open file has of its number; "" where one file is enough."""
        return f"-{self._number:05d}" if self._is_numbered else ""

    @abstractmethod
    def begin(self) -> None:
        """Opens a file, in `files`."""

    @abstractmethod
    def put(self, entry: Entry) -> None:
        """Writes one image to the open file."""

    @abstractmethod
    def end(self) -> None:
        """Writes the end of the open file."""
