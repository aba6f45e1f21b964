"""Which settings of a sweep can share a pass over the images, and what the pass is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ipseg.config import Config
from ipseg.features import Extractor

_SHARED = ("method", "images", "segmenter", "models")


@dataclass(frozen=True)
class Variant:
    """One setting of a sweep.

    Attributes:
        label: unique within the sweep; "" where there is one setting.
        config: all of it.
        given_mask: supports come with their ground-truth mask.
        settings: what was said to get it, for reports.
    """

    label: str
    config: Config
    given_mask: bool
    settings: tuple[str, ...] = ()


@dataclass
class Pass:
    """Variants that look at the same features of an image and at the same embedding.

    Attributes:
        variants: at least one, in the sweep's order.
    """

    variants: list[Variant] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """Settings that all variants share are taken from here."""
        return self.variants[0].config

    @property
    def extractors(self) -> dict[str, Extractor]:
        """All that any variant gives a weight."""
        return {
            kind: extractor
            for variant in self.variants
            for kind, extractor in variant.config.features.items()
            if extractor.weight != 0
        }

    def takes(self, variant: Variant) -> bool:
        """Whether a variant can join without anything being computed twice or differently."""
        return all(_agree(member.config, variant.config) for member in self.variants)


def passes(variants: Sequence[Variant]) -> list[Pass]:
    """Variants grouped into as few passes as possible, in order."""
    found: list[Pass] = []
    for variant in variants:
        home = next((each for each in found if each.takes(variant)), None)
        if home is None:
            home = Pass()
            found.append(home)
        home.variants.append(variant)
    return found


def _agree(one: Config, other: Config) -> bool:
    if any(_of(one, name) != _of(other, name) for name in _SHARED):
        return False
    if (one.matching.grid, one.matching.square) != (other.matching.grid, other.matching.square):
        return False
    # The image's own saliency is computed once, so it has to be the same one.
    uses = one.matching.saliency_weight > 0 or other.matching.saliency_weight > 0
    if uses and _of(one, "saliency") != _of(other, "saliency"):
        return False
    both = set(one.features) & set(other.features)
    return all(_unweighted(one, kind) == _unweighted(other, kind) for kind in both)


def _of(config: Config, section: str) -> Any:  # noqa: ANN401
    return config.relevant[section]


def _unweighted(config: Config, kind: str) -> dict[str, Any]:
    settings: dict[str, Any] = config.relevant["features"][kind]
    return {name: value for name, value in settings.items() if name != "weight"}
