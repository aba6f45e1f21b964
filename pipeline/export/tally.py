"""What an export has: images and objects by concept and side, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipseg.objects import Object
from ipseg.wording import counted

BINS = 20  # of the histogram of scores, from 0 to 1
_EXAMPLES = 20  # images that are named of those left out
_LISTED = 10  # concepts in one warning


@dataclass
class Side:
    """One side of a split.

    Attributes:
        images: all of them.
        empty: those without an object.
        objects: of each concept.
        with_concept: images of each concept.
    """

    images: int = 0
    empty: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    with_concept: Counter[str] = field(default_factory=Counter)


@dataclass
class Tally:
    """What an export has, counted while rows pass.

    Attributes:
        sides: by name.
        failed: rows of the run that were not processed.
        left_out: images that could not be read, or not be exported.
        examples: some of these, with the reason.
        reviewed: images of which somebody decided something.
        statuses: objects by status.
        vanished: objects of which surer ones took every pixel.
        undecided: objects that pass, but are left to people who have not decided about them.
        disputed: objects on which people disagree.
        unfinished: whether the run was still to write some of its rows.
        scores: (BINS,) histogram.
        encoded_again: images that had to be turned, cropped or converted.
    """

    sides: dict[str, Side]
    failed: int = 0
    left_out: int = 0
    examples: list[str] = field(default_factory=list)
    reviewed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    vanished: int = 0
    undecided: int = 0
    disputed: int = 0
    unfinished: bool = False
    scores: list[int] = field(default_factory=lambda: [0] * BINS)
    encoded_again: int = 0

    def add(self, side: str, objects: Iterable[Object], *, reviewed: bool) -> None:
        """Counts an image with its objects."""
        counts = self.sides.setdefault(side, Side())
        counts.images += 1
        self.reviewed += reviewed
        concepts = set[str]()
        for each in objects:
            concepts.add(each.concept)
            counts.objects[each.concept] += 1
            self.statuses[each.status] += 1
            self.scores[min(BINS - 1, int(max(0.0, each.score) * BINS))] += 1
        counts.with_concept.update(concepts)
        counts.empty += not concepts

    def leave_out(self, key: str, why: object) -> None:
        """Counts an image that is not exported."""
        self.left_out += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{key}: {why}")

    @property
    def images(self) -> int:
        """Of all sides."""
        return sum(side.images for side in self.sides.values())

    @property
    def objects(self) -> int:
        """Of all sides."""
        return sum(side.objects.total() for side in self.sides.values())

    def warnings(self, concepts: Sequence[str]) -> list[str]:
        """What somebody who trains with it should know before."""
        found = []
        if self.unfinished:
            found.append("the run is not finished: these are the rows that it has written so far")
        for name, side in self.sides.items():
            lacking = [c for c in concepts if not side.objects[c] and self._anywhere(c)]
            if lacking and side.images:
                found.append(f"side '{name}' has no object of {_listed(lacking)}")
            if not side.images:
                found.append(f"side '{name}' has no image")
        if nowhere := [c for c in concepts if not self._anywhere(c)]:
            found.append(f"no object at all of {_listed(nowhere)}")
        return found

    def _anywhere(self, concept: str) -> bool:
        return any(side.objects[concept] for side in self.sides.values())

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "images": self.images,
            "objects": self.objects,
            "sides": {
                name: {
                    **{"images": side.images, "empty": side.empty},
                    "concepts": {
                        concept: {"images": side.with_concept[concept], "objects": number}
                        for concept, number in sorted(side.objects.items())
                    },
                }
                for name, side in self.sides.items()
            },
            **{"failed": self.failed, "left_out": self.left_out, "examples": self.examples},
            **{"reviewed": self.reviewed, "statuses": dict(sorted(self.statuses.items()))},
            **{"vanished": self.vanished, "undecided": self.undecided, "scores": self.scores},
            "encoded_again": self.encoded_again,
        }


def losses(lost: Mapping[str, int]) -> list[str]:
    """What was lost, a line for each kind."""
    return [f"{kind}: {number:,}" for kind, number in sorted(lost.items()) if number]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    rest = f" and {counted(more, 'more concept')}" if more > 0 else ""
    return ", ".join(f"'{name}'" for name in names[:_LISTED]) + rest
