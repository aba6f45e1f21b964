"""The least that a method can be, and how chains are run in this process."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.methods.chain import prompt_chains
from ipseg.methods.method import Method
from ipseg.networks.models import Models
from ipseg.objects import Object
from ipseg.rows import Step, check_chain
from ipseg.runner import prepare, run_local
from ipseg.steps.support import Support
from ipseg.vision.images import ImageLimits, encode_png

# Work images of a few pixels.
SMALL = [
    *(f"{part}.long_side=96" for part in ("support.saliency", "saliency", "features.classical")),
    *("segmenter.long_side=96", "features.sift.long_side=144"),
]


@dataclass
class MeanColour(Step):
    """The colour of a prompt's whole image."""

    channels: int = 3
    name: ClassVar[str] = "colour"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows):
        return [
            {**row, "prompt_features": {"colour": row["image"].mean((0, 1))[: self.channels]}}
            for row in rows
        ]


@dataclass
class NameLength(Step):
    """What a method that is prompted by a name may keep of it."""

    name: ClassVar[str] = "text"
    requires: ClassVar[tuple[str, ...]] = ("concept",)
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows):
        return [{**row, "prompt_features": {"n": np.array(len(row["concept"]))}} for row in rows]


@dataclass
class Everything(Step):
    """The whole image is the object."""

    bank: PromptsInMemory
    column: str = "image"
    name: ClassVar[str] = "everything"
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    def __post_init__(self):
        self.requires = (self.column, "width", "height")

    def __call__(self, rows):
        return [{**row, "objects": list(self._found(row))} for row in rows]

    def _found(self, row):
        frames = row["frames"] if self.column == "frames" else [row["image"]]
        for number, frame in enumerate(frames):
            for entry in self.bank.asked(row):
                mask = np.ones(frame.shape[:2], bool)
                score = float(entry.features["colour"].mean() / 255)
                yield Object.of(entry.concept, entry.category_id, mask, score, frame=number)


@dataclass(frozen=True)
class Colours(Method):
    """The least that a method can be."""

    channels: int = 3

    def prompt_steps(self):
        return [MeanColour(self.channels)]

    def image_steps(self, bank):
        return [Everything(bank)]


@dataclass(frozen=True)
class Louder(Colours):
    """The same prompts, merged another way."""

    def merge(self, shots):
        return {"colour": np.max([shot["colour"] for shot in shots], axis=0)}


@dataclass(frozen=True)
class Frames(Colours):
    """The same for sequences."""

    row_is: ClassVar[Literal["image", "sequence"]] = "sequence"

    def image_steps(self, bank):
        return [Everything(bank, "frames")]


@dataclass(frozen=True)
class Named(Colours):
    """Prompted by names."""

    prompted_by: ClassVar[Literal["image", "name"]] = "name"

    def prompt_steps(self):
        return [NameLength()]


@dataclass(frozen=True)
class Settings:
    """What chains take from a configuration."""

    method: Method = field(default_factory=Colours)
    support: Support = field(default_factory=lambda: Support("none"))
    images: ImageLimits = field(default_factory=ImageLimits)
    models: Models = field(default_factory=Models)


def small(*overrides):
    return load_config("classical", [*SMALL, *overrides])


def names(steps):
    return [step.name for step in steps]


def run(steps, rows):
    prepare(steps)
    return list(run_local(steps, rows))


def grey(level, shape=(20, 30)):
    return {"uri": "", "image_bytes": encode_png(np.full((*shape, 3), level, np.uint8))}


def bank_of(settings, levels):
    """Bank of the concept "thing", whose prompts are grey."""
    rows = [{"key": str(n), "concept": "thing", **grey(level)} for n, level in enumerate(levels)]
    steps = prompt_chains({"": settings}).steps
    check_chain(steps, ["key", "uri", "image_bytes", "concept"])
    return PromptsInMemory(run(steps, rows), settings.method.merge)
