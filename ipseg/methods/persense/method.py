"""PerSense as a method.

prompts:  read -> decode -> support -> describe (-> label)         => bank: the object's feature
images:   read -> decode -> compare -> ground -> exemplar -> count -> select -> feedback
                                                        -> count -> select -> segment => objects

All steps run in one worker, which encodes an image once for each network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ipseg.bank import Bank
from ipseg.counters import Counter
from ipseg.detectors import Detector
from ipseg.errors import ConfigError
from ipseg.features import Extractor
from ipseg.labellers import Labeller
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.steps import DescribePrompt, Match, merged
from ipseg.methods.method import Method
from ipseg.methods.persense.box_features import BoxFeatures
from ipseg.methods.persense.counting import Count
from ipseg.methods.persense.grounding import Begin, Ground
from ipseg.methods.persense.label import LABEL, Label
from ipseg.methods.persense.persense import PerSense
from ipseg.methods.persense.steps import FeedBack, FirstExemplar, SegmentInstances, Select
from ipseg.methods.persense.target import Compare, DescribeTarget
from ipseg.methods.persense.template import OUTLINE, PIXELS, KeepTemplate
from ipseg.rows import Arrays, Step
from ipseg.segmenters import FeatureSegmenter, Segmenter
from ipseg.steps.name import NAME, DescribeName

_FIRST = (NAME, LABEL, PIXELS, OUTLINE)  # prompt features of which that of the first prompt counts


@dataclass(frozen=True)
class PerSenseMethod(Method):
    """Every instance of a concept in images that hold many.

    Attributes:
        segmenter: points to masks; the released SAM is guided by the example, others are not.
        counter: how many there are, and where.
        labeller: names the object of each prompt, for the detector; None goes by the concept's own
            name. `names` counts before either.
        detector: finds the concept's name in an image; None goes by similarity alone.
        features: kind -> extractor, for similarity with the example; with none, it is by the
            segmenter's own features.
        matching: how the maps of several extractors become one.
        boxes: what is in a box, for `persense.feedback.selection=diverse`; None where it is not
            needed.
        names: name of a concept -> what the detector is asked for in its place.
        persense: the method's own settings.
    """

    segmenter: Segmenter
    counter: Counter
    detector: Detector | None = None
    labeller: Labeller | None = None
    features: dict[str, Extractor] = field(default_factory=dict)
    matching: Matching = field(default_factory=Matching)
    boxes: BoxFeatures | None = None
    names: dict[str, str] = field(default_factory=dict)
    persense: PerSense = field(default_factory=PerSense)

    def __post_init__(self) -> None:
        if self.persense.feedback.selection == "diverse" and self.boxes is None:
            raise ConfigError("persense.feedback.selection=diverse compares boxes: set boxes={}")
        if self.names and self.detector is None:
            raise ConfigError(
                "names say what a detector is asked for, and there is none: leave --names out, or "
                "set detector.kind=grounding_dino"
            )
        if not self.extractors and not isinstance(self.segmenter, FeatureSegmenter):
            raise ConfigError(
                f"{type(self.segmenter).__name__} has no features to compare images by: set "
                f"features.KIND.weight, or another segmenter.kind"
            )

    @property
    def extractors(self) -> dict[str, Extractor]:
        """Those in use, in the order of the profile."""
        return {kind: each for kind, each in self.features.items() if each.weight != 0}

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        described: Step = DescribeTarget(self.segmenter, self.persense.mask_value)
        if self.extractors:
            described = DescribePrompt(self._unweighted())
        steps = [described]
        if self.persense.first_exemplar == "prompt":
            steps.append(KeepTemplate())
        if self.detector is not None:
            steps.append(DescribeName())
        return steps if self.labeller is None else [*steps, Label(self.labeller)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`; what cannot be averaged is that of the first prompt."""
        plain = [{n: array for n, array in shot.items() if n not in _FIRST} for shot in shots]
        kept = merged(self.extractors, plain) if self.extractors else super().merge(plain)
        return kept | {name: shots[0][name] for name in _FIRST if name in shots[0]}

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        settings, by_features = self.persense, bool(self.extractors)
        looking = (self.segmenter, settings, bank, by_features)
        count = Count(self.counter, settings)
        return [
            self._compare(bank),
            Begin(bank) if self.detector is None else Ground(self.detector, self.names, bank),
            FirstExemplar(*looking),
            count,
            Select(*looking, last=False),
            FeedBack(*looking, most=self.counter.exemplars, boxes=self.boxes),
            replace(count),
            Select(*looking, last=True),
            SegmentInstances(self.segmenter, settings),
        ]

    def _compare(self, bank: Bank) -> Step:
        if not self.extractors:
            return Compare(self.segmenter, bank)
        weights = {kind: each.weight for kind, each in self.extractors.items()}
        return Match(self._unweighted(), weights, self.matching, bank)

    def _unweighted(self) -> dict[str, Extractor]:
        """The same with weights of 1, so that steps whose features are equal are equal."""
        return {kind: replace(each, weight=1.0) for kind, each in self.extractors.items()}  # type: ignore[type-var]
