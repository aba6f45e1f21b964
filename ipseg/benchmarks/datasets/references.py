"""IPSeg's reference lists: the prompt image of each object.

::

cat 00                       image 00 in the folder `cat`
dog prompts/dog_on_grass     an image below the data root
"""

from __future__ import annotations

from ipseg.benchmarks.datasets.class_folders import ClassImages
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import is_file, read_lines, relative_path
from ipseg.errors import SourceError
from ipseg.vision.images import IMAGE_SUFFIXES

REFERENCE_LIST = "ref_composed.txt"


def read_references(root: str, file: str, images: ClassImages) -> dict[str, tuple[Example, ...]]:
    """The reference of every class from a list file.

    The released code drops the last character of each line, which damages a list without a final
    newline; here the final newline is optional.

    Args:
        root: absolute path of the data set.
        file: name of the list in it.
        images: all classes with their images.

    Returns:
        class -> its one reference. A reference outside of the images has no mask.

    Raises:
        SourceError: the list is missing, names an unknown class or image, or has no line for a
            class.
        OSError: the list cannot be read.
    """
    url = f"{root}/{file}"
    found: dict[str, tuple[Example, ...]] = {}
    for line in read_lines(url):
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2:
            raise SourceError(f"{url} has a line {line!r}; each should be '<object> <reference>'")
        name, reference = parts
        if name not in images:
            raise SourceError(f"{url} names the object '{name}', which has no folder")
        if name in found:
            raise SourceError(f"{url} names a reference of '{name}' twice")
        found[name] = (_find(root, url, reference, name, images),)
    if without := sorted(images.keys() - found.keys()):
        raise SourceError(
            f"{url} has no reference of {len(without)} object(s), the first is '{without[0]}'; "
            f"add a line '{without[0]} <reference>'"
        )
    return {name: found[name] for name in images}


def by_name(examples: tuple[Example, ...], name: str) -> Example | None:
    """The image with this whole file name, with or without its suffix."""
    for example in examples:
        file = example.key.rpartition("/")[2]
        if name in (file, file.rpartition(".")[0]):
            return example
    return None


def _find(root: str, url: str, reference: str, name: str, images: ClassImages) -> Example:
    if "/" not in reference:
        example = by_name(images[name], reference)
        if example is None:
            raise SourceError(f"{url}: '{name}' has no image named '{reference}'")
        return example
    path = relative_path(reference, url)
    for example in (example for examples in images.values() for example in examples):
        if path in (example.key, example.key.rpartition(".")[0]):
            return example
    for key in (path, *(f"{path}{suffix}" for suffix in sorted(IMAGE_SUFFIXES))):
        if is_file(f"{root}/{key}"):
            return Example(key, f"{root}/{key}", "")
    raise SourceError(f"{url}: there is no image {root}/{path} for '{name}'")
