"""Several settings in one pass over the images: what they share is computed once.

A *look* is a way to compare an image with the entries of a bank; a *finish* is a way from its
similarity maps to masks. Features are computed once for all looks, and the segmenter's embedding
once for all finishes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ipseg.bank import PromptBank
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.points import PointSelection
from ipseg.methods.ipseg.scoring import Scoring
from ipseg.segmenters.refinement import Refinement


@dataclass(frozen=True)
class Look:
    """How images are compared.

    Attributes:
        bank: what with.
        weights: extractor -> its share of the fused map; others take no part.
        matching: how maps are put together; the grid is the same for all looks of a pass.
    """

    bank: PromptBank = field(repr=False)
    weights: dict[str, float]
    matching: Matching

    def known(self, entries: Sequence[str]) -> list[str]:
        """Those of the entries that are in its bank, in the same order.

        A support may be of use to one look and not to another, as one whose mask cannot be read
        while saliency can still isolate the object.
        """
        return [entry for entry in entries if entry in self._names]

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.bank.names)


@dataclass(frozen=True)
class Finish:
    """How a mask is made of a similarity map.

    Attributes:
        variant: label of the settings.
        look: index of the look whose maps it takes.
        selection: of points.
        refinement: of masks.
        scoring: of masks.
    """

    variant: str
    look: int
    selection: PointSelection
    refinement: Refinement
    scoring: Scoring


@dataclass(frozen=True)
class Sweep:
    """All looks and finishes of one pass.

    The maps of a row are ordered by look and, within a look, by entry it knows; its points and
    masks by finish and, within a finish, by the same entries.

    Attributes:
        looks: at least one.
        finishes: at least one.
    """

    looks: tuple[Look, ...]
    finishes: tuple[Finish, ...]

    def known(self, finish: Finish, entries: Sequence[str]) -> list[str]:
        """The entries of a row for which a finish makes a mask."""
        return self.looks[finish.look].known(entries)

    def maps_of(self, finish: Finish, entries: Sequence[str]) -> slice:
        """Which maps of a row, asked for these entries, a finish takes."""
        first = sum(len(look.known(entries)) for look in self.looks[: finish.look])
        return slice(first, first + len(self.known(finish, entries)))

    def asked(self, entries: Sequence[str]) -> Iterator[tuple[Finish, str, int]]:
        """(finish, entry, index of the map) for each mask of a row, in order."""
        for finish in self.finishes:
            first = self.maps_of(finish, entries).start
            for offset, entry in enumerate(self.known(finish, entries)):
                yield finish, entry, first + offset
