"""Names of files for keys, which may be anything: safe, and no two alike.

A name is made from its key alone, so that it stays when images are added, with one exception: keys
whose names would be alike (a.jpg and a.png where the ending is another one, names that differ in
case alone) have digits of their hashes added.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

import numpy as np

from ipseg.vision.images import IMAGE_SUFFIXES

MANY = 50_000  # images; above, they are spread over folders of two hex digits
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\]')  # refused by some filesystem or reader
_LONGEST = 120  # bytes of a name, or of a folder's
_DIGITS = 16
_FILES = IMAGE_SUFFIXES | {".txt", ".xml", ".json"}
_OURS = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")  # a plain name must not look like one with digits


class Names:
    """Key -> name without ending, once all keys are known.

    Args:
        flat: all in one folder, without spaces.
        reserved: names that no folder of a key may have.
    """

    def __init__(self, *, flat: bool = False, reserved: frozenset[str] = frozenset()) -> None:
        self._flat = flat
        self._many = False
        self._reserved = reserved
        self._noted = bytearray()
        self._taken = np.empty(0, np.uint64)

    def add(self, key: str) -> None:
        """Notes a key."""
        self._noted += _hash(self._plain(key))

    def settle(self) -> None:
        """Finds names that would be alike; to be called when all keys are noted.

        More than `MANY` are spread over folders, where they may have folders.
        """
        self._many = len(self._noted) // 8 > MANY and not self._flat
        noted = np.sort(np.frombuffer(self._noted, np.uint64))
        self._noted = bytearray()
        self._taken = np.unique(noted[1:][noted[1:] == noted[:-1]])

    def of(self, key: str) -> str:
        """Relative path with forward slashes, without the ending of the image."""
        name = self._plain(key)
        if _OURS.search(name) or self._is_taken(name):
            name = f"{name}-{_digits(key)}"
        return f"{_digits(key)[:2]}/{name}" if self._many else name

    def _plain(self, key: str) -> str:
        *folders, last = without_suffix(key).split("/")
        parts = [self._folder(each) for each in folders] + [_safe(last) or "image"]
        name = "/".join(part for part in parts if part)
        return name.replace("/", "_").replace(" ", "_")[-_LONGEST:] if self._flat else name

    def _folder(self, part: str) -> str:
        part = _safe(part)
        # A folder x.txt would be in the way of the labels of an image x.
        is_in_the_way = PurePosixPath(part).suffix.lower() in _FILES or part in self._reserved
        return f"{part.replace('.', '_')}_" if is_in_the_way else part

    def _is_taken(self, name: str) -> bool:
        wanted = np.frombuffer(_hash(name), np.uint64)[0]
        place = int(np.searchsorted(self._taken, wanted))
        return place < len(self._taken) and bool(self._taken[place] == wanted)


def without_suffix(key: str) -> str:
    """A key without the ending of an image."""
    stem, _, suffix = key.rpartition(".")
    return stem if f".{suffix.lower()}" in IMAGE_SUFFIXES and stem.rpartition("/")[2] else key


def _safe(part: str) -> str:
    part = _UNSAFE.sub("_", part).strip(" .")
    # A file name can have 255 bytes; what is added to it needs some of them.
    return part.encode()[:_LONGEST].decode(errors="ignore").strip(" .")


def _digits(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:_DIGITS]


def _hash(name: str) -> bytes:
    # Filesystems may not tell upper from lower case.
    return hashlib.blake2b(name.casefold().encode(), digest_size=8).digest()
