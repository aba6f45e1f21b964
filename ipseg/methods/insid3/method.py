"""INSID3 as a method: one example, the features of one frozen network, clusters of an image.

prompts:  read -> decode -> support -> describe      => bank: tokens of each example, and its mask
images:   read -> decode -> segment                  => objects, at most one for each concept

Source: INSID3 (visinf/INSID3), released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from ipseg.bank import Bank
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.methods.insid3.outline import Outline
from ipseg.methods.insid3.positions import check_components
from ipseg.methods.insid3.reference import all_examples
from ipseg.methods.insid3.steps import DescribeReference, SegmentClusters
from ipseg.methods.method import Method
from ipseg.networks.models import Models
from ipseg.rows import Arrays, Step


@dataclass(frozen=True)
class INSID3(Method):
    """The clusters of an image that are like the object of an example.

    Attributes:
        network: whose tokens are compared.
        components: directions of an image without content that are projected out of all features;
            fewer than the network has channels. Released: 500, of the 1,024 of DINOv3-L.
        alike: mean cosine above which clusters are joined.
        threshold: the least score of a cluster, above which it is taken.
        outline: `cells`: of the network, smoothed; `edges`: moved to edges of the image, by up to 5
            pixels of the square (a dense CRF; seconds for an image, and for each mask).
    """

    network: PatchEncoder = field(default_factory=PatchEncoder)
    components: Annotated[int, Field(ge=1)] = 500
    alike: Annotated[float, Field(ge=-1, le=1)] = 0.6
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.2
    outline: Outline = "cells"

    def check(self, models: Models) -> None:
        """See `Method.check`: refuses `components` that leave nothing of the features."""
        check_components(self.network, self.components, models)

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeReference(self.network, self.components)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`."""
        return all_examples(shots)

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        return [
            SegmentClusters(
                *(self.network, self.components, self.alike, self.threshold, self.outline), bank
            )
        ]
