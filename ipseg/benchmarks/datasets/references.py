"""IPSeg's reference lists: which picture is shown for which object.

::

cat 00                       the picture 00 in the folder of cat
dog prompts/dog_on_grass     a picture below the data root
"""

from __future__ import annotations

from ipseg.benchmarks.datasets.class_folders import ClassPictures
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import is_file, read_lines, relative_path
from ipseg.errors import SourceError
from ipseg.vision.images import IMAGE_SUFFIXES

REFERENCE_LIST = "ref_composed.txt"


def read_references(
    root: str, file: str, pictures: ClassPictures
) -> dict[str, tuple[Example, ...]]:
    """The reference of every class as a list file names it.

    The released code cuts the last character of each line, so that a list without a newline at its
    end loses one; here the last line may end without.

    Args:
        root: folder of the data set, absolute.
        file: name of the list below it.
        pictures: all classes with their pictures.

    Returns:
        class -> its one reference. A reference that is not among the pictures has no mask.

    Raises:
        SourceError: the list is missing, names no class or picture that there is, or leaves a
            class out.
        OSError: the list cannot be read.
    """
    url = f"{root}/{file}"
    found: dict[str, tuple[Example, ...]] = {}
    for line in read_lines(url):
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2:
            raise SourceError(f"{url} has a line {line!r}; each should be '<object> <reference>'")
        name, reference = parts
        if name not in pictures:
            raise SourceError(f"{url} names the object '{name}', of which there is no folder")
        if name in found:
            raise SourceError(f"{url} names a reference of '{name}' twice")
        found[name] = (_find(root, url, reference, name, pictures),)
    if without := sorted(pictures.keys() - found.keys()):
        raise SourceError(
            f"{url} names no reference of '{without[0]}' ({len(without)} object(s) lack one); "
            f"add a line '{without[0]} <reference>'"
        )
    return {name: found[name] for name in pictures}


def by_name(examples: tuple[Example, ...], name: str) -> Example | None:
    """The picture whose file name, with or without its suffix, is `name`; never a part of it."""
    for example in examples:
        file = example.key.rpartition("/")[2]
        if name in (file, file.rpartition(".")[0]):
            return example
    return None


def _find(root: str, url: str, reference: str, name: str, pictures: ClassPictures) -> Example:
    if "/" not in reference:
        example = by_name(pictures[name], reference)
        if example is None:
            raise SourceError(f"{url}: '{name}' has no picture named '{reference}'")
        return example
    path = relative_path(reference, url)
    for example in (example for examples in pictures.values() for example in examples):
        if path in (example.key, example.key.rpartition(".")[0]):
            return example
    for key in (path, *(f"{path}{suffix}" for suffix in sorted(IMAGE_SUFFIXES))):
        if is_file(f"{root}/{key}"):
            return Example(key, f"{root}/{key}", "")
    raise SourceError(f"{url}: there is no picture {root}/{path} for '{name}'")
