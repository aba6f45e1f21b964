"""SINE as a method: one example, and the class, the instances or the same object in images.

prompts:  read -> decode -> support -> describe      => bank: pooled features of each example
images:   read -> decode -> segment                  => objects
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from ipseg.bank import Bank
from ipseg.methods.method import Method
from ipseg.methods.sine.canvas import Canvas
from ipseg.methods.sine.network import SineNetwork
from ipseg.methods.sine.settings import Asking, Settings
from ipseg.methods.sine.steps import DescribeReference, SegmentReferences, kept_examples
from ipseg.rows import Arrays, Step


@dataclass(frozen=True)
class PooledExamples(Method):
    """What SINE keeps of examples, the same for all tasks, so that they can share a bank.

    Attributes:
        network: the weights.
        canvas: how images and examples lie in the network's canvas; released ones differ by task.
        asking: how the network is asked for the concepts of an image.
    """

    network: SineNetwork = field(default_factory=SineNetwork)
    canvas: Canvas = field(default_factory=Canvas)
    asking: Asking = field(default_factory=Asking)

    @property
    def concepts_compete(self) -> bool:
        """See `Method.concepts_compete`."""
        return self.asking.concepts == "together"

    def prompt_steps(self) -> list[Step]:
        """See `Method.prompt_steps`."""
        return [DescribeReference(self.network, self.canvas)]

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """See `Method.merge`."""
        return kept_examples(shots)


@dataclass(frozen=True)
class SineMethod(Settings, PooledExamples):
    """SINE (Liu et al., NeurIPS 2024) on images."""

    def image_steps(self, bank: Bank) -> list[Step]:
        """See `Method.image_steps`."""
        settings = Settings(**{each.name: getattr(self, each.name) for each in fields(Settings)})
        return [SegmentReferences(self.network, self.canvas, settings, bank)]
