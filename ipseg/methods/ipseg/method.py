"""IPSeg: training-free open-world segmentation via image prompts (arXiv 2310.10912).

prompts:  read -> decode -> isolate -> describe                       => prompt bank
images:   read -> decode -> match -> points -> segment                => objects
"""

from __future__ import annotations

from dataclasses import dataclass

from ipseg.bank import PromptBank, build_bank
from ipseg.config import Config
from ipseg.features import Extractor
from ipseg.rows import Row, Step
from ipseg.steps.decode import Decode, Read
from ipseg.steps.match import MatchConcepts, SelectPoints
from ipseg.steps.prompt import DescribePrompt, IsolateObject, ShowTruth
from ipseg.steps.segment import SegmentObjects
from ipseg.steps.sweep import MatchLooks, SegmentForFinishes, SelectForFinishes
from ipseg.sweep import Sweep


@dataclass(frozen=True)
class IPSegMethod:
    """The method as two lists of steps."""

    config: Config

    @property
    def extractors(self) -> dict[str, Extractor]:
        """The extractors that take part: those with a weight."""
        return {kind: e for kind, e in self.config.features.items() if e.weight != 0}

    def prompt_steps(self) -> list[Step]:
        """Prompt image -> what to remember of its object."""
        return [
            Read(),
            Decode(self.config.images),
            IsolateObject(self.config.saliency, self.config.models),
            DescribePrompt(self.extractors, self.config.models),
        ]

    def support_steps(self, extractors: dict[str, Extractor]) -> list[Step]:
        """Support of an episode -> what to remember of it, for every extractor of a pass."""
        read, decode, *rest = self.prompt_steps()
        return [
            read,
            decode,
            ShowTruth(),
            *rest[:-1],
            DescribePrompt(extractors, self.config.models),
        ]

    def sweep_steps(self, sweep: Sweep, extractors: dict[str, Extractor]) -> list[Step]:
        """Image -> an answer for each of its episodes and each setting of a pass."""
        config = self.config
        return [
            Read(),
            Decode(config.images),
            MatchLooks(extractors, sweep, config.saliency, config.models),
            SelectForFinishes(sweep),
            SegmentForFinishes(config.segmenter, sweep, config.models),
        ]

    def bank(self, rows: list[Row]) -> PromptBank:
        """The prompt bank from the rows that came out of `prompt_steps`."""
        return build_bank(rows, self.extractors, self.config)

    def image_steps(self, bank: PromptBank) -> list[Step]:
        """Image -> one mask for each concept of the bank."""
        config = self.config
        return [
            Read(),
            Decode(config.images),
            MatchConcepts(self.extractors, config.matching, config.saliency, bank, config.models),
            SelectPoints(config.points),
            SegmentObjects(
                config.segmenter, config.refinement, config.scoring, bank, config.models
            ),
        ]
