"""Prompts from review: accepted masks as further examples of their concepts, for a second round.

    OUT/accepted/<concept>/<name>.jpg and <name>.mask.png

This is the layout that `--prompts` reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

import numpy as np

from ipseg.objects import Object
from ipseg.prompts import MASK_SUFFIX
from ipseg.rows import Image
from ipseg.storage.files import exists, remove, write_whole
from ipseg.vision.images import encode_jpeg, encode_png
from ipseg.vision.masks import decode_rle
from jobs.review.rows import Rows
from jobs.review.state import State

FOLDER = "accepted"
_UNSAFE = re.compile(r"[^\w ()+.-]")
_LONGEST = 60  # characters of a name, at most four bytes each; file systems take 255 bytes
_QUALITY = 95


def folder_name(concept: str) -> str:
    """The name of a concept's folder: the concept itself where that is a safe name for a file.

    Otherwise other characters are replaced, and hex digits keep it apart from similar names;
    `--prompts` then takes the folder's name for the concept.
    """
    safe = _safe(concept)
    return safe if safe == concept else f"{safe}-{_digits(concept)}"


def prompt_stem(out: str, key: str, found: Object) -> str:
    """Address of an object's prompt without suffix; objects of a run have one each."""
    name = _safe(PurePosixPath(key).stem)
    own = _digits(f"{key}\n{found.concept}\n{found.instance}\n{found.frame}")
    return f"{out}/{FOLDER}/{folder_name(found.concept)}/{name}-{own}"


def is_prompt(stem: str) -> bool:
    """Whether a prompt was written.

    Raises:
        OSError: the storage does not answer.
    """
    return exists(f"{stem}.jpg")


def add_prompt(stem: str, image: Image, found: Object) -> None:
    """Writes an image and the mask of an object in it as a prompt.

    Raises:
        OSError: they cannot be written.
    """
    # The mask first: an image without one would be taken for a prompt of another kind.
    mask = decode_rle(found.segmentation).astype(np.uint8) * np.uint8(255)
    write_whole(f"{stem}{MASK_SUFFIX}", encode_png(mask))
    write_whole(f"{stem}.jpg", encode_jpeg(image, _QUALITY))


def remove_prompt(stem: str) -> None:
    """Takes a prompt away again; one that is not there stays so.

    Raises:
        OSError: it cannot be removed.
    """
    for address in (f"{stem}.jpg", f"{stem}{MASK_SUFFIX}"):
        if exists(address):
            remove(address)


class Prompts:
    """Prompts that were made of the objects of a run; they follow what is decided about these."""

    def __init__(self, state: State, rows: Rows) -> None:
        self._state, self._rows, self._index = state, rows, state.index

    def turn(self, key: str, number: int, found: Object, *, on: bool) -> str | None:
        """Makes an accepted object a prompt, or takes that back.

        Returns:
            The prompt image's address; None where there is none now, or the object is not accepted.

        Raises:
            OSError, IpsegError: it cannot be written, or the image cannot be read.
        """
        left = self._accepted(key, found)
        stem = prompt_stem(self._index.out, key, left or found)
        if not on:
            remove_prompt(stem)
        if left is None or not on:
            return None
        image = int(self._index.image[number])
        add_prompt(stem, self._rows.pixels(image, left.frame), left)
        return f"{stem}.jpg"

    def has(self, key: str, found: Object) -> bool:
        """Whether an object is accepted and a prompt."""
        left = self._accepted(key, found)  # others need not be looked for
        return left is not None and is_prompt(prompt_stem(self._index.out, key, left))

    @contextmanager
    def following(self, key: str) -> Iterator[None]:
        """Decisions about an image within: what is accepted no more is no prompt any more.

        A repaired mask, or another concept, is the prompt's too.
        """
        image = self._index.find(key)
        numbers = () if image is None else self._index.objects_of(image)
        objects = () if image is None else self._rows.objects(image)
        before = [
            (number, found, self._accepted(key, found))
            for number, found in zip(numbers, objects, strict=True)
            if self.has(key, found)
        ]
        yield
        for number, found, was in before:
            left = self._accepted(key, found)
            if was is not None and left != was:
                remove_prompt(prompt_stem(self._index.out, key, was))
                self.turn(key, number, found, on=left is not None)

    def _accepted(self, key: str, found: Object) -> Object | None:
        left = self._state.review.apply(key, [found])
        return left[0] if left and left[0].status != "auto" else None


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)[:_LONGEST].strip(" .") or "_"


def _digits(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
