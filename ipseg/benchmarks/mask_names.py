"""How the mask of an image is named: `a.png`, or `a.jpg.png`, for `a.jpg`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ipseg.errors import SourceError
from ipseg.storage.files import exists
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"})
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jp2", ".avif"})
_LOOKED_AT = 8  # lossy files, to see whether a folder of masks has images too


@dataclass(frozen=True)
class MaskNames:
    """How the files in a folder of masks are named.

    Attributes:
        suffixes: as they are spelled there, such as ".png" or ".PNG"; at the end those of lossy
            formats, whose masks are refused when they are read.
        doubled: whether some are named after the whole image file, as in `a.jpg.png`.
    """

    suffixes: tuple[str, ...] = (".png",)
    doubled: bool = False

    @staticmethod
    def of(names: Iterable[str]) -> MaskNames:
        """Of some files; no suffix where none of them is a mask."""
        suffixes, doubled = set[str](), False
        for name in filter(is_mask_file, names):
            file = PurePosixPath(name)
            suffixes.add(file.suffix)
            doubled = doubled or PurePosixPath(file.stem).suffix.lower() in IMAGE_SUFFIXES
        return MaskNames(tuple(sorted(suffixes, key=_usual_first)), doubled)

    @staticmethod
    def in_folder(root: str) -> MaskNames:
        """Lists a folder, at any depth, and remembers no more than its kinds of names.

        Files of lossy formats are taken for masks too, unless masks lie beside such files of the
        same name: then these are the images.

        Raises:
            SourceError: there is no mask.
            OSError: it cannot be listed.
        """
        lossy, suffixes = list[str](), set[str]()

        def listed() -> Iterator[str]:
            for name in (each.name for each in iterate_files(root) if not each.is_folder):
                if (suffix := PurePosixPath(name).suffix).lower() in LOSSY_SUFFIXES:
                    suffixes.add(suffix)
                    lossy.extend([name] if len(lossy) < _LOOKED_AT else [])
                yield name

        names = MaskNames.of(listed())
        if not names.suffixes:
            raise SourceError(
                f"there is no mask in {root}: masks are files {', '.join(sorted(MASK_SUFFIXES))}; "
                f"lossy formats change zeros around outlines"
            )
        if any(
            exists(f"{root.rstrip('/')}/{mask}") for name in lossy for mask in names.paths(name)
        ):
            return names
        return replace(names, suffixes=(*names.suffixes, *sorted(suffixes)))

    def stems(self, name: str) -> list[str]:
        """Names of the mask of an image file, without suffix, the most literal first.

        Only a suffix of images gives way: that of `a.v2` is `a.v2.png`.
        """
        file = PurePosixPath(name)
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            return [name]
        return [name, file.stem] if self.doubled else [file.stem]

    def files(self, name: str) -> Iterator[str]:
        """File names that the mask of an image file may have, in the order of precedence."""
        return (stem + suffix for stem in self.stems(name) for suffix in self.suffixes)

    def paths(self, path: str) -> Iterator[str]:
        """The same for the path of an image file below a folder."""
        folder, sign, name = path.rpartition("/")
        return (f"{folder}{sign}{file}" for file in self.files(name))


def is_mask_file(name: str) -> bool:
    """Whether a file has a suffix of lossless formats."""
    return PurePosixPath(name).suffix.lower() in MASK_SUFFIXES


def _usual_first(suffix: str) -> tuple[bool, str]:
    return suffix != ".png", suffix


def mask_paths(root: str, key: str, names: MaskNames = MaskNames()) -> list[str]:
    """Where the mask of a key may be; a key that would leave the root is refused.

    Letters with accents have two encodings; the key's own is tried first.

    Raises:
        SourceError: the key is absolute or has a '..' part.
    """
    *folders, name = PurePosixPath(key).parts or ("",)
    parts = (*folders, name)
    if name == "" or {"/", ".."} & {*parts} or any("\\" in p or "\0" in p for p in parts):
        raise SourceError(f"key {key!r} cannot be used as a file name below {root}")
    paths = ("/".join([*folders, file]) for file in names.files(name))
    spelled = (spelling for path in paths for spelling in spellings(path))
    return [f"{root.rstrip('/')}/{path}" for path in dict.fromkeys(spelled)]


def spellings(name: str) -> Sequence[str]:
    """A name as it is, composed (NFC) and decomposed (NFD)."""
    if name.isascii():
        return [name]
    return list(dict.fromkeys([name, *(unicodedata.normalize(f, name) for f in ("NFC", "NFD"))]))
