"""Finds the mask of an image by its key in a folder of ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from ipseg.bank import Bank
from ipseg.benchmarks.ground_truth import rle_address
from ipseg.benchmarks.mask_names import MaskNames, mask_paths, spellings
from ipseg.rows import Row, Step
from ipseg.storage.files import exists
from ipseg.vision.masks import encode_rle


@dataclass
class FindGroundTruth(Step):
    """Adds the ground truth of a folder: `ROOT/<concept>/<key>.png`, or `ROOT/<key>.png`.

    An image's suffix in the key gives way to that of the mask. With folders for concepts, a missing
    mask says that the concept is absent from the image; without, that the image has no ground
    truth.

    Attributes:
        root: folder or fsspec URL of the ground truth.
        concepts: to look for.
        bank: gives their category ids; where there is none they count from 1.
        by_concept: whether ROOT has a folder for each concept.
        names: of the files in it.
    """

    root: str
    concepts: Sequence[str]
    by_concept: bool
    names: MaskNames = field(default_factory=MaskNames)
    bank: Bank | None = None

    name: ClassVar[str] = "ground-truth"
    requires: ClassVar[tuple[str, ...]] = ("key", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("asks",)
    uses: ClassVar[tuple[str, ...]] = ("uri", "asks")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `asks`, one for each concept that the ground truth says something of."""
        return [{**row, "asks": list(self._asks(row))} for row in rows]

    def _asks(self, row: Row) -> list[dict[str, Any]]:
        asks = []
        asked = {ask["concept"] for ask in row.get("asks") or ()}
        ids = {name: number for number, name in enumerate(self.concepts, start=1)}
        for concept in self.concepts:
            if asked and concept not in asked:
                continue
            category_id = self.bank.categories[concept] if self.bank else ids[concept]
            path = self.find(row, concept)
            if path is not None:
                address = f"{path}#object"
            elif self.by_concept:
                absent = np.zeros((row["height"], row["width"]), bool)
                address = rle_address(encode_rle(absent))
            else:
                continue
            asks.append(
                {
                    **{"concept": concept, "class_id": category_id, "class_name": concept},
                    **{"fold": "", "frame": 0, "ground_truth": address},
                }
            )
        return asks

    def find(self, row: Row, concept: str, there: Callable[[str], bool] = exists) -> str | None:
        """The mask of a concept in an image, None if it has none.

        Args:
            row: its `key`, and `uri` where it has one.
            concept: one of `concepts`.
            there: whether a file exists, for those who have listed them.
        """
        # Lossy masks are named as images are, and an image is no mask of its own.
        whole, *short = (
            [path for path in paths if path != row.get("uri")]
            for paths in self.places(row["key"], concept)
        )
        path = next(filter(there, whole), None)
        if path is None and short:
            path = next(filter(there, short[0]), None)
            if path is not None and _has_owner(row):
                return None
        return path

    def places(self, key: str, concept: str) -> list[list[str]]:
        """Where the mask of a key may be, the literal place first.

        A key that begins with the concept's folder need not repeat it: that of `cow/1.jpg` is
        `ROOT/cow/cow/1.png` or `ROOT/cow/1.png`.

        Raises:
            SourceError: the key or concept is absolute or has a '..' part.
        """
        if not self.by_concept:
            return [mask_paths(self.root, key, self.names)]
        found = [mask_paths(self.root, f"{concept}/{key}", self.names)]
        if _in_folder_of(key, concept):
            found.append(mask_paths(self.root, key, self.names))
        return found


def _in_folder_of(key: str, concept: str) -> bool:
    first, *rest = PurePosixPath(key).parts or ("",)
    return bool(rest) and bool({*spellings(first)} & {*spellings(concept)})


def _has_owner(row: Row) -> bool:
    """Whether another image has the mask of this one: `1.jpg` beside `cow/1.jpg` has `cow/1.png`.

    Only where the source is a folder of files can this be seen from one row.
    """
    key, uri = row["key"], row.get("uri") or ""
    return uri.endswith(f"/{key}") and exists(uri[: -len(key)] + key.partition("/")[2])
