"""Data sets with one folder for each class, and each mask under the name of its picture."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath

from ipseg.benchmarks.episode import Episode, Example
from ipseg.errors import SourceError
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES

ClassPictures = Mapping[str, tuple[Example, ...]]  # classes and pictures sorted by name


def files_by_class(folder: str) -> dict[str, dict[str, str]]:
    """FOLDER/<class>/NAME as class -> name -> address, both sorted; empty classes included.

    Raises:
        SourceError: there is no such folder.
        OSError: it cannot be listed.
    """
    found: dict[str, dict[str, str]] = {}
    for name, address, is_folder in iterate_files(folder):
        parts = name.split("/")
        if is_folder and len(parts) == 1:
            found.setdefault(name, {})
        elif not is_folder and len(parts) == 2:
            found.setdefault(parts[0], {})[parts[1]] = address
    return {name: dict(sorted(files.items())) for name, files in sorted(found.items())}


def paired_pictures(
    root: str, images: str, masks: str, suffixes: AbstractSet[str] = IMAGE_SUFFIXES
) -> dict[str, tuple[Example, ...]]:
    """Pictures ROOT/<images>/<class>/NAME.* with masks ROOT/<masks>/<class>/NAME.png.

    Only listings are read. A mask is every pixel above zero.

    Args:
        root: folder both lie in.
        images: folder of the pictures.
        masks: folder of the masks; may be the same, if `suffixes` leaves PNG out.
        suffixes: of pictures, in lower case.

    Returns:
        class -> its pictures, both sorted by name.

    Raises:
        SourceError: a folder is missing, a class has no picture, or a picture has no mask.
        OSError: a folder cannot be listed.
    """
    listed = files_by_class(f"{root}/{images}")
    others = listed if masks == images else files_by_class(f"{root}/{masks}")
    if not listed:
        raise SourceError(f"{root}/{images} has no class folder; put pictures in <class>/NAME.jpg")
    return {
        name: _paired_class(root, (images, masks, name), files, others.get(name, {}), suffixes)
        for name, files in listed.items()
    }


def ask_by_class(
    pictures: ClassPictures,
    supports: ClassPictures,
    *,
    exclude: bool,
    fold: str = "",
    seed: int | None = None,
) -> list[Episode]:
    """One episode for each picture of each class, class by class, with the class's supports.

    Args:
        pictures: what is asked about.
        supports: class -> what is shown.
        exclude: leaves the supports of a class out of its queries.
        fold: name for the episodes.
        seed: by which the supports were drawn, if they were.

    Raises:
        SourceError: no picture of a class is left to ask about.
    """
    episodes: list[Episode] = []
    for class_id, (name, examples) in enumerate(pictures.items()):
        shown = {support.key for support in supports[name]} if exclude else set()
        queries = [example for example in examples if example.key not in shown]
        if not queries:
            raise SourceError(
                f"class '{name}' has {len(examples)} picture(s) and all of them are shown as "
                f"prompts; add pictures, or keep prompts among the queries"
            )
        for query in queries:
            episodes.append(
                Episode(len(episodes), fold, class_id, name, query, supports[name], seed)
            )
    return episodes


def stem(name: str) -> str:
    """The name of a file without its folders and its last suffix."""
    return PurePosixPath(name).stem


def _paired_class(
    root: str,
    place: tuple[str, str, str],
    files: dict[str, str],
    others: dict[str, str],
    suffixes: AbstractSet[str],
) -> tuple[Example, ...]:
    images, masks, name = place
    names = [file for file in files if PurePosixPath(file).suffix.lower() in suffixes]
    if not names:
        raise SourceError(f"{root}/{images}/{name} has no picture; add some or remove the folder")
    lacking = [file for file in names if f"{stem(file)}.png" not in others]
    if lacking:
        raise SourceError(
            f"{root}/{masks}/{name}/{stem(lacking[0])}.png is missing: each picture in "
            f"{images}/{name} needs its mask there ({len(lacking)} of {len(names)} have none)"
        )
    return tuple(
        Example(f"{images}/{name}/{file}", files[file], f"{others[f'{stem(file)}.png']}#above=0")
        for file in names
    )
