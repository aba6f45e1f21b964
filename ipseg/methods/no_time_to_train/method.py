"""No Time To Train as a method: masks of anything, each labelled with what it is most like.

prompts:  read -> decode -> support -> describe      => bank: the mean feature of each concept
images:   read -> decode -> segment                  => objects, one for each instance

Source: No Time To Train (Espinosa et al., arXiv 2507.02798), released code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from ipseg.bank import Bank
from ipseg.errors import ConfigError
from ipseg.methods.method import Method
from ipseg.methods.no_time_to_train.labelling import Labelling
from ipseg.methods.no_time_to_train.proposals import Proposing
from ipseg.methods.no_time_to_train.reference import Encoder
from ipseg.methods.no_time_to_train.steps import DescribeInstance, LabelMasks
from ipseg.rows import Step
from ipseg.segmenters import Segmenter
from ipseg.segmenters.promptable import PromptableNetwork


@dataclass(frozen=True)
class NoTimeToTrain(Method):
    """Each instance of several concepts, of which there are some examples.

    An example is one instance; the mean over a concept's examples is what masks are compared with.

    Attributes:
        segmenter: SAM 2, or another of the family, whose square the image fills.
        network: whose tokens are compared.
        context: of an example: how much more than its box is seen, as a share of the longer side.
        proposing: where masks are looked for.
        labelling: how they become objects.
    """

    segmenter: Segmenter
    network: Encoder = field(default_factory=Encoder)
    context: Annotated[float, Field(ge=0)] = 0.2
    proposing: Proposing = field(default_factory=Proposing)
    labelling: Labelling = field(default_factory=Labelling)

    # Scores are cosines, of which nearly all are above 0: most of a hundred objects are none.
    labels_with: ClassVar[tuple[str, ...]] = ("labelling.min_score=0.3",)

    def __post_init__(self) -> None:
        fills = getattr(self.segmenter, "aspect", None) in ("stretch", "squash")
        if not isinstance(self.segmenter, PromptableNetwork) or not fills:
            raise ConfigError(
                "No Time To Train compares masks over the whole square of a SAM: set "
                "segmenter.kind=hf_sam and segmenter.aspect=stretch"
            )

    @property
    def concepts_compete(self) -> bool:
        """See `Method.concepts_compete`."""
        return self.labelling.concepts == "together"

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeInstance(self.network, self.context)]

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [LabelMasks(self.network, self.segmenter, self.proposing, self.labelling, bank)]
