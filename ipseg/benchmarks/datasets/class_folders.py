"""Data sets with a folder for each class, in which mask and image have the same name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath

from ipseg.benchmarks.benchmark import Task
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.mask_names import MaskNames, spellings
from ipseg.errors import SourceError
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES

log = logging.getLogger("ipseg")

ClassImages = Mapping[str, tuple[Example, ...]]  # both sorted by name


def files_by_class(folder: str) -> dict[str, dict[str, str]]:
    """FOLDER/<class>/NAME as class -> name -> address, both sorted; includes empty classes.

    Raises:
        SourceError: there is no such folder.
        OSError: it cannot be listed.
    """
    found: dict[str, dict[str, str]] = {}
    for name, address, is_folder, _ in iterate_files(folder):
        parts = name.split("/")
        if is_folder and len(parts) == 1:
            found.setdefault(name, {})
        elif not is_folder and len(parts) == 2:
            found.setdefault(parts[0], {})[parts[1]] = address
    return {name: dict(sorted(files.items())) for name, files in sorted(found.items())}


def paired_images(
    root: str, images: str, masks: str, suffixes: AbstractSet[str] = IMAGE_SUFFIXES
) -> dict[str, tuple[Example, ...]]:
    """Images ROOT/<images>/<class>/NAME.* with masks ROOT/<masks>/<class>/NAME.png.

    Only listings are read. The object is what `ipseg.vision.mask_files.read_mask` takes for it.

    Args:
        root: folder that contains both.
        images: folder of the images.
        masks: folder of the masks; may be the same if `suffixes` does not include PNG.
        suffixes: of images, in lower case.

    Returns:
        class -> its images, both sorted by name.

    Raises:
        SourceError: a folder is missing, a class has no image, or an image has no mask.
        OSError: a folder cannot be listed.
    """
    listed = files_by_class(f"{root}/{images}")
    others = listed if masks == images else files_by_class(f"{root}/{masks}")
    if not listed:
        raise SourceError(f"{root}/{images} has no class folder; put images in <class>/NAME.jpg")
    found = {}
    for name, files in listed.items():
        there = others.get(name, {})
        found[name] = _paired_class(root, (images, masks, name), files, there, suffixes)
    return found


def tasks_by_class(queries: ClassImages, supports: ClassImages, *, exclude: bool) -> Iterator[Task]:
    """One for each image of each class, class by class, with the supports of the class.

    Args:
        queries: class -> images to segment.
        supports: class -> its supports.
        exclude: leaves the supports of a class out of its queries.

    Raises:
        SourceError: no query is left for a class.
    """
    for class_id, (name, examples) in enumerate(queries.items()):
        excluded = {support.key for support in supports[name]} if exclude else set()
        remaining = [example for example in examples if example.key not in excluded]
        if not remaining:
            raise SourceError(
                f"class '{name}' has {len(examples)} image(s) and all of them are prompts; add "
                f"images, or keep prompts among the queries"
            )
        for query in remaining:
            yield class_id, query, supports[name]


def stem(name: str) -> str:
    """The name of a file without folders and without its last suffix."""
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
        raise SourceError(f"{root}/{images}/{name} has no image; add some or remove the folder")
    pngs = {file: address for file, address in others.items() if file.lower().endswith(".png")}
    kinds = MaskNames.of(pngs)
    if masks == images:  # no image is its own mask
        pngs = {file: address for file, address in pngs.items() if file not in names}
    masks_of = {file: _mask_of(file, pngs, kinds) for file in names}
    missing = [file for file, mask in masks_of.items() if mask is None]
    if missing:
        raise SourceError(
            f"{root}/{masks}/{name}/{stem(missing[0])}.png is missing: each image in "
            f"{images}/{name} needs its mask there ({len(missing)} of {len(names)} have none)"
        )
    found = {mask: file for file, mask in masks_of.items() if mask is not None}
    if twice := [file for file, mask in masks_of.items() if mask and found[mask] != file]:
        raise SourceError(
            f"{root}/{images}/{name}/{twice[0]} and {found[str(masks_of[twice[0]])]} have the same "
            f"mask in {masks}/{name}; give them different names"
        )
    unused = [file for file in pngs if file not in found]
    if unused and masks != images:
        log.warning(
            "%s of %s masks in %s/%s/%s are of no image: %s",
            *(len(unused), len(pngs), root, masks, name, ", ".join(unused[:3])),
        )
    return tuple(
        Example(f"{images}/{name}/{file}", files[file], f"{pngs[mask]}#object")
        for file, mask in masks_of.items()
        if mask is not None
    )


def _mask_of(file: str, masks: Mapping[str, str], kinds: MaskNames) -> str | None:
    """The mask of an image among some files, the most literal name first."""
    spelled = (spelling for name in kinds.files(file) for spelling in spellings(name))
    return next((name for name in spelled if name in masks), None)
