"""Pairs of a reference and a target, drawn from annotated collections.

Pair number n is always the same, whoever draws it: nothing depends on the order or the number of
workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ipseg.errors import SourceError
from ipseg.methods.sine.training.scenes import Numbers, Scene, View, augmented
from ipseg.methods.sine.training.settings import Pairs

Kind = Literal["panoptic", "instance"]


class Weighted(Protocol):
    """What pairs are drawn from."""

    @property
    def kind(self) -> Kind:
        """Of its annotations."""

    @property
    def weight(self) -> float:
        """Among collections of its kind."""


class Collection(Weighted, Protocol):
    """Annotated images."""

    @property
    def classes(self) -> Numbers:
        """Numbers of the classes that it has images of, at least one."""

    def images_of(self, class_number: int) -> Numbers:
        """The numbers of its images with an object of a class; at least one."""

    def read(self, image: int) -> Scene:
        """An image with its objects.

        Raises:
            SourceError: it is missing or damaged.
        """


@dataclass(frozen=True)
class Pair:
    """Two crops.

    Attributes:
        number: of the pair; seeds all that is random about it.
        reference: with at least one object.
        target: with at least one object of the reference's classes, and none of others.
        same_image: whether both are crops of one image.
    """

    number: int
    reference: View
    target: View
    same_image: bool


class PairSource:
    """Pairs by their number, from several collections.

    Args:
        collections: at least one.
        settings: of pairs.
        seed: another one draws other pairs.
    """

    def __init__(self, collections: Sequence[Collection], settings: Pairs, seed: int) -> None:
        self._collections, self._settings, self._seed = list(collections), settings, seed
        self.shares = shares(collections, settings)

    def __getitem__(self, number: int) -> Pair:
        """The pair of a number.

        Raises:
            SourceError: an image cannot be read; or no object is ever left in a crop.
        """
        random = np.random.default_rng([self._seed, number])
        for _ in range(self._settings.tries):
            chosen = self._collections[random.choice(len(self.shares), p=self.shares)]
            pair = self._drawn(number, chosen, random)
            if pair is not None:
                return pair
        raise SourceError(
            f"no pair of images with an object left in both after {self._settings.tries} draws; "
            f"raise pairs.smallest, or pairs.tries if objects are rare"
        )

    def _drawn(
        self, number: int, collection: Collection, random: np.random.Generator
    ) -> Pair | None:
        images = collection.images_of(int(random.choice(collection.classes)))
        first = int(random.choice(images))
        second, same = first, random.random() < self._settings.same_image
        if not same and len(images) > 1:
            second = int(random.choice(images[images != first]))
        scene = collection.read(first)
        reference = augmented(scene, self._settings, random)
        other = scene if second == first else collection.read(second)
        target = augmented(other, self._settings, random).only(reference.classes)
        if not len(reference.masks) or not len(target.masks):
            return None
        return Pair(number, reference, target, second == first)


def shares(collections: Sequence[Weighted], settings: Pairs) -> list[float]:
    """How often each collection is drawn from: first by kind, then by weight within a kind.

    Raises:
        SourceError: nothing would ever be drawn.
    """
    of_kind = {"panoptic": settings.panoptic, "instance": settings.instance}
    whole = dict.fromkeys(of_kind, 0.0)
    for each in collections:
        whole[each.kind] += each.weight
    found = [
        of_kind[each.kind] * each.weight / whole[each.kind] if whole[each.kind] else 0.0
        for each in collections
    ]
    if not sum(found):
        raise SourceError("nothing to draw from: pairs.panoptic and pairs.instance leave no weight")
    return [share / sum(found) for share in found]
