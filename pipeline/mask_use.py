"""Which masks of a folder the images of a run have taken, and which images found none.

A name that does not match is the most frequent mistake with ground truth, and changes every number
without a word. So a run compares both sides at its end. What is remembered are 8 bytes for each
mask, and a few examples.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ipseg.benchmarks.mask_names import MaskNames, is_mask_file, mask_paths, spellings
from ipseg.errors import SourceError
from ipseg.steps.find_ground_truth import FindGroundTruth
from ipseg.storage.files import is_folder
from ipseg.storage.walk import iterate_files
from ipseg.wording import counted
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import read_rows

Hashes = npt.NDArray[np.uint64]

_EXAMPLES = 3


@dataclass
class Examples:
    """A number of names, and the first of them.

    Attributes:
        count: how many.
        first: at most three, sorted.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Counts one more."""
        self.count += 1
        self.first = heapq.nsmallest(_EXAMPLES, {*self.first, name})

    def __str__(self) -> str:
        return ", ".join(self.first) + (", ..." if self.count > len(self.first) else "")


@dataclass
class MaskUse:
    """How images and masks of a run go together.

    Attributes:
        images: that were compared with ground truth, or could have been.
        without: keys of images that found no mask at all.
        masks: files in the folder, as far as they are of concepts that were looked for.
        unused: masks that no image has taken.
        shared: masks that several images have taken, with the images' keys.
        turned: masks that were turned as their images are, by EXIF orientation.
    """

    images: int = 0
    without: Examples = field(default_factory=Examples)
    masks: int = 0
    unused: Examples = field(default_factory=Examples)
    shared: Examples = field(default_factory=Examples)
    turned: int = 0

    @staticmethod
    def of(out: str, step: FindGroundTruth) -> MaskUse:
        """Reads the rows of a run, and lists the folder that its masks are from."""
        use = MaskUse()
        taken = use._taken(out, step)
        repeated = np.unique(taken[1:][taken[1:] == taken[:-1]])
        if len(repeated):
            use._name_shared(out, step, repeated)
        claimed = np.sort(np.concatenate([taken, _claimed_by_failed(out, step)]))
        for name in mask_files(step):
            use.masks += 1
            if not _among(_hash(name), claimed):
                use.unused.add(name)
        return use

    def _taken(self, out: str, step: FindGroundTruth) -> Hashes:
        """Of the masks that rows were compared with, sorted; once for each row."""
        taken = array("Q")
        for row in read_rows(out, ["row_status", "metrics"]):
            if row["row_status"] not in BROKEN:
                self.images += 1
                masks = _masks(row, step)
                taken.extend(map(_hash, masks))
                self.turned += sum(masks.values())
                if not masks:
                    self.without.add(row["key"])
        return np.sort(np.array(taken, np.uint64))

    def _name_shared(self, out: str, step: FindGroundTruth, repeated: Hashes) -> None:
        known = dict[str, Examples]()
        for row in read_rows(out, ["metrics"]):
            for mask in _masks(row, step):
                if _among(_hash(mask), repeated):
                    known.setdefault(mask, Examples()).add(row["key"])
        for mask, keys in known.items():
            self.shared.add(f"{mask} of {keys}")

    def lines(self, masks: str) -> list[str]:
        """What a person should know; nothing where all went together.

        Args:
            masks: the folder, as it was given.
        """
        lines = []
        if self.without.count:
            lines.append(
                f"{self.without.count} of {self.images} images have no mask in {masks}: "
                f"{self.without}"
            )
        if self.unused.count:
            lines.append(
                f"{self.unused.count} of {self.masks} masks in {masks} are of no image: "
                f"{self.unused}"
            )
        if self.shared.count:
            lines.append(
                f"{counted(self.shared.count, 'mask')} in {masks}, taken by several images each: "
                f"some numbers are wrong; give the images different names: {self.shared}"
            )
        if self.turned:
            lines.append(
                f"{counted(self.turned, 'mask')} of stored pixels in {masks}, turned as their "
                f"images are (EXIF orientation)"
            )
        return lines

    def record(self) -> dict[str, Any]:
        """As plain data, for metrics.json."""
        listed = {
            name: {"count": each.count, "examples": each.first}
            for name, each in (
                ("images_without", self.without),
                ("masks_unused", self.unused),
                ("masks_shared", self.shared),
            )
        }
        return {"images": self.images, "masks": self.masks, "masks_turned": self.turned, **listed}


def _masks(row: Mapping[str, Any], step: FindGroundTruth) -> dict[str, bool]:
    """Masks that a row was compared with, by their names below the folder: whether turned."""
    root = f"{step.root.rstrip('/')}/"
    return {
        metric["mask"].removeprefix(root): bool(metric["turned"])
        for metric in row["metrics"]
        if metric["mask"] is not None
    }


def _claimed_by_failed(out: str, step: FindGroundTruth) -> Hashes:
    """Of all masks that failed rows might have had."""
    root = f"{step.root.rstrip('/')}/"
    claimed = array("Q")
    for row in read_rows(out, ["row_status"]):
        if row["row_status"] in BROKEN:
            for concept in step.concepts:
                with suppress(SourceError):  # a key that is no file name, and has no mask
                    places = chain.from_iterable(step.places(row["key"], concept))
                    claimed.extend(_hash(path.removeprefix(root)) for path in places)
    return np.array(claimed, np.uint64)


def mask_files(step: FindGroundTruth) -> Iterator[str]:
    """Names of the masks of the concepts that were looked for."""
    asked = {spelled for concept in step.concepts for spelled in spellings(concept)}
    for name, _, folder, _ in iterate_files(step.root):
        if folder or not (is_mask_file(name) or PurePosixPath(name).suffix in step.names.suffixes):
            continue
        if not step.by_concept or ("/" in name and name.partition("/")[0] in asked):
            yield name


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())


def _among(number: int, ordered: Hashes) -> bool:
    place = int(np.searchsorted(ordered, np.uint64(number)))
    return place < len(ordered) and int(ordered[place]) == number


def ground_truth_in(masks: str, concepts: Sequence[str]) -> FindGroundTruth:
    """What finds the masks of concepts in a folder of ground truth.

    Raises:
        SourceError: it is not there, or not as it has to be.
    """
    by_concept = _masks_by_concept(masks, concepts)
    return FindGroundTruth(masks, concepts, by_concept, MaskNames.in_folder(masks))


def concepts_in(masks: str, concepts: Sequence[str]) -> list[str]:
    """The concepts that have a folder in a folder of ground truth.

    Raises:
        SourceError: it does not exist.
    """
    root = masks.rstrip("/")
    if not is_folder(root):
        raise SourceError(f"mask folder {masks} does not exist")
    return [
        name
        for name in concepts
        if any(is_folder(f"{root}/{spelled}") for spelled in spellings(name))
    ]


def _masks_by_concept(masks: str, concepts: Sequence[str]) -> bool:
    """Whether the ground truth has a folder for each concept, or is flat for a single one."""
    there = concepts_in(masks, concepts)
    missing = [name for name in concepts if name not in there]
    if not missing:
        return True
    if len(concepts) == 1:
        return False
    raise SourceError(
        f"{masks} has no folder '{missing[0]}'; with several concepts, the mask of a/b.jpg is "
        f"{mask_paths(masks, f'{missing[0]}/a/b.jpg')[0]}"
    )
