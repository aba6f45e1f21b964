"""FoRIS as a method.

prompts:  read -> decode -> support -> describe      => bank: tokens of each example, and its mask
images:   read -> decode -> segment                  => objects, one for each concept

Source: FoRIS (arXiv 2609.03384), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from ipseg.bank import Bank
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.methods.foris.steps import DescribeExample, ScoreCells
from ipseg.methods.insid3.outline import Outline
from ipseg.methods.insid3.positions import check_components
from ipseg.methods.insid3.reference import all_examples
from ipseg.methods.method import Method
from ipseg.networks.models import Models
from ipseg.rows import Arrays, Step


@dataclass(frozen=True)
class FoRIS(Method):
    """The cells of an image with a high score, from many terms.

    Its mask is never empty; the evidence `presence` is 0 where no cell is nearest to the object.

    Attributes:
        network: whose tokens are compared.
        components: directions of an image without content that are projected out of features, where
            the image is unlike the object; fewer than the network has channels.
        alike: mean cosine above which clusters are joined.
        colour_and_place: whether clusters of the seed go by these, too. Released: where images are
            evaluated in batches they are left out, by mistake.
        outline: as INSID3's; the paper's numbers are with `edges`.
    """

    network: PatchEncoder = field(default_factory=PatchEncoder)
    components: Annotated[int, Field(ge=1)] = 500
    alike: Annotated[float, Field(ge=-1, le=1)] = 0.6
    colour_and_place: bool = True
    outline: Outline = "cells"

    def check(self, models: Models) -> None:
        """See `Method.check`: refuses `components` that leave nothing of the features."""
        check_components(self.network, self.components, models)

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeExample(self.network)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`."""
        return all_examples(shots)

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [
            ScoreCells(
                *(self.network, self.components, self.alike),
                *(self.colour_and_place, self.outline, bank),
            )
        ]
