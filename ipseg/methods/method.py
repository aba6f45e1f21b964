"""What a method is: what to keep of a prompt, and how to find it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ipseg.bank import Bank
from ipseg.errors import ConfigError
from ipseg.networks.models import Models
from ipseg.objects import Object
from ipseg.rows import Arrays, Step


@dataclass(frozen=True)
class Method(ABC):
    """What to keep of a prompt, and how to find it. The fields are the profile's settings.

    A subclass is a frozen dataclass; each field is a section (or a single setting) of the profile,
    built from its type: numbers, text, dataclasses, and the exchangeable parts of
    `ipseg.components` (a field of type `Saliency`, `Segmenter` or `dict[str, Extractor]`).

    Its steps come after those that every method needs: reading and decoding, and for prompts
    finding the object (`ipseg.methods.chain`). They know nothing of sweeps, benchmarks or machines.

    Attributes:
        prompted_by: "image": a concept is given by images; "name": by its name alone.
        row_is: "image", or "sequence": a row is the frames of a folder, in order (`frame_uris`,
            `frames`, `width`, `height`).
        labels_with: settings, as for `--set`, with which a collection is labelled (`ipseg segment`,
            `ipseg.load`) where nothing else is said; benchmarks are run without them.
        others_in: setting, as for `--set`, with the names of what else may be in images, which take
            part of what a concept would get; an evaluation gives it the classes of its data.
        published_as: name that published numbers have, where it is not the name of the method.
    """

    prompted_by: ClassVar[Literal["image", "name"]] = "image"
    row_is: ClassVar[Literal["image", "sequence"]] = "image"
    labels_with: ClassVar[tuple[str, ...]] = ()
    others_in: ClassVar[str] = ""
    published_as: ClassVar[str] = ""

    @property
    def concepts_compete(self) -> bool:
        """Whether what is found of a concept depends on the others that a row is asked for.

        If so, nothing can be added to a run: what it has found would change.
        """
        return False

    def check(self, models: Models) -> None:  # noqa: B027  (most methods fit all weights)
        """Refuses settings that do not fit the weights, before anything is loaded.

        Raises:
            ConfigError: they do not.
            WeightsError: the weights are missing or damaged.
        """

    @abstractmethod
    def prompt_steps(self) -> list[Step]:
        """(image, support_mask, concept) -> `prompt_features`: array name -> array."""

    def merge(self, shots: Sequence[Arrays]) -> Arrays:
        """What the bank keeps of a concept with several prompts; here the mean of each array.

        It may depend on the settings that `prompt_steps` depends on, and on no others.
        """
        if len(shots) == 1:
            return shots[0]
        return {name: np.mean([each[name] for each in shots], axis=0) for name in shots[0]}

    def scored_again(self, found: Object) -> Object | None:
        """An object with its score by these settings, whatever others it was found by.

        None if it is below the least score.

        Raises:
            ConfigError: the method has no such settings.
        """
        raise ConfigError(f"{type(self).__name__} has no settings of scores: {found.concept}")

    @abstractmethod
    def image_steps(self, bank: Bank) -> list[Step]:
        """(image | frames, width, height) -> `objects` for `bank.asked(row)`."""
