"""IPSeg: training-free open-world segmentation via image prompts (arXiv 2310.10912).

prompts:  read -> decode -> support -> describe                       => bank
images:   read -> decode -> match -> points -> segment                => objects
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from ipseg.bank import Bank
from ipseg.errors import ConfigError
from ipseg.features import Extractor, PlacingExtractor
from ipseg.methods.ipseg.each import SegmentEach
from ipseg.methods.ipseg.instances import Instances
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.points import PointSelection
from ipseg.methods.ipseg.scoring import Scoring
from ipseg.methods.ipseg.steps import DescribePrompt, Match, Segment, SelectPoints, merged
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Arrays, Step
from ipseg.saliency import Saliency
from ipseg.segmenters import Segmenter
from ipseg.segmenters.refinement import Refinement


@dataclass(frozen=True)
class IPSeg(Method):
    """The published method and its variants.

    Attributes:
        features: kind -> extractor; those with weight 0 take no part.
        segmenter: turns points into masks.
        matching: how similarity maps are fused.
        saliency: of the image itself, for `matching.saliency_weight` > 0.
        points: which cells become point prompts.
        refinement: how often a prompt is decoded.
        scoring: of masks.
        instances: one object of a concept in an image, or each.
    """

    labels_with: ClassVar[tuple[str, ...]] = ("instances.mode=each",)

    features: dict[str, Extractor]
    segmenter: Segmenter
    matching: Matching = field(default_factory=Matching)
    saliency: Saliency | None = None
    points: PointSelection = field(default_factory=PointSelection)
    refinement: Refinement = field(default_factory=Refinement)
    scoring: Scoring = field(default_factory=Scoring)
    instances: Instances = field(default_factory=Instances)

    def __post_init__(self) -> None:
        if not self.extractors:
            raise ConfigError("no features are set, or all have weight 0: set features.KIND.weight")
        if self.matching.saliency_weight > 0 and self.saliency is None:
            raise ConfigError(
                "matching.saliency_weight takes the image's own saliency in: set saliency.kind, or "
                "matching.saliency_weight=0"
            )
        kind = type(self.segmenter).__name__
        if self.refinement.passes != 1 and not self.segmenter.takes_boxes:
            raise ConfigError(
                f"refinement.passes=3 gives the segmenter a box, which {kind} does not take; set "
                f"refinement.passes=1"
            )
        if self.refinement.prior == "similarity" and not self.segmenter.takes_similarity:
            raise ConfigError(
                f"refinement.prior=similarity gives the segmenter a similarity map, which {kind} "
                f"does not take; set refinement.prior=none"
            )

    @property
    def extractors(self) -> dict[str, Extractor]:
        """The extractors that take part: those with a weight."""
        return {kind: each for kind, each in self.features.items() if each.weight != 0}

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribePrompt(_unweighted(self.extractors))]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`; each extractor merges its own arrays."""
        return merged(self.extractors, shots)

    def scored_again(self, found: Object) -> Object | None:
        """See `Method.scored_again`."""
        return self.scoring.again(found)

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`; one mask for each concept, or one for each instance."""
        weights = {kind: each.weight for kind, each in self.extractors.items()}
        own = self.saliency if self.matching.saliency_weight > 0 else None
        each, most = self.instances.mode == "each", self.instances.max_instances
        extractors = {
            kind: part.for_many(most) if each and isinstance(part, PlacingExtractor) else part
            for kind, part in self.extractors.items()
        }
        shared = (self.segmenter, self.refinement, self.scoring)
        return [
            Match(_unweighted(extractors), weights, self.matching, bank, own, apart=each),
            SelectPoints(self.points),
            SegmentEach(*shared, self.instances, self.points, bank)
            if each
            else Segment(*shared, bank),
        ]


def _unweighted(extractors: dict[str, Extractor]) -> dict[str, Extractor]:
    """The same with weights of 1, so that steps whose features are equal are equal."""
    return {kind: replace(each, weight=1.0) for kind, each in extractors.items()}  # type: ignore[type-var]
