"""Puts what all methods share around their steps, and variants side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ipseg.bank import Bank
from ipseg.errors import ConfigError
from ipseg.methods.method import Method
from ipseg.methods.side_by_side import side_by_side
from ipseg.networks.models import Models
from ipseg.parts import settings_of, without
from ipseg.rows import Step
from ipseg.steps.decode import Decode, OpenFrames, Read
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.prompt import KeepPrompt, Thumbnail
from ipseg.steps.support import Support
from ipseg.vision.images import ImageLimits


class Settings(Protocol):
    """What chains take from a configuration."""

    @property
    def method(self) -> Method:
        """With its settings."""

    @property
    def support(self) -> Support:
        """How the object of a prompt is found."""

    @property
    def images(self) -> ImageLimits:
        """Sizes that are accepted."""

    @property
    def models(self) -> Models:
        """Where weights come from and how they run."""


@dataclass(frozen=True)
class PromptChains:
    """How the prompts of several variants are described; what two of them share is done once.

    Attributes:
        steps: prompt image -> `prompts` (and `thumbnail`, `image_sha256`).
        chain_of: label of a variant -> label of its chain: a number, "" where there is one chain.
        settings: label of a chain -> all that its results depend on, as plain data.
    """

    steps: list[Step]
    chain_of: dict[str, str]
    settings: dict[str, list[dict[str, Any]]]


def prompt_chains(variants: Mapping[str, Settings], *, drawn: bool = False) -> PromptChains:
    """The chains of all variants, side by side.

    Args:
        variants: label -> settings, at least one.
        drawn: some prompts come with a box or points, which go through a segmenter.

    Raises:
        ConfigError: a part that a support needs is not set.
    """
    chain_by = {
        label: (type(settings.method).merge, _prompt_steps(settings, drawn))
        for label, settings in variants.items()
    }
    chains: list[tuple[Any, list[Step]]] = []
    for chain in chain_by.values():
        if chain not in chains:
            chains.append(chain)
    chains.sort(key=_canonical)  # the order of the variants is no setting
    names = [""] if len(chains) == 1 else [str(number) for number in range(len(chains))]
    heads = 3 if all(v.method.prompted_by == "image" for v in variants.values()) else 0
    steps_of = dict(zip(names, (steps for _, steps in chains), strict=True))
    joined = side_by_side(steps_of, "prompts", heads)
    return PromptChains(
        [*joined, Thumbnail()] if heads else joined,
        {label: names[chains.index(chain)] for label, chain in chain_by.items()},
        {name: [_plain(step) for step in steps] for name, steps in steps_of.items()},
    )


def _canonical(chain: tuple[Any, list[Step]]) -> str:
    merge, steps = chain
    return json.dumps([merge.__qualname__, *map(_plain, steps)], sort_keys=True)


def _prompt_steps(settings: Settings, drawn: bool) -> list[Step]:
    first: list[Step] = []
    if settings.method.prompted_by == "image":
        own = getattr(settings.method, "segmenter", None)
        support = settings.support.step(
            own, drawn=drawn, mask_orientation=settings.images.mask_orientation
        )
        first = [Read(), Decode(settings.images), support]
    return _bound([*first, *settings.method.prompt_steps(), KeepPrompt()], settings.models)


def _plain(step: Step) -> dict[str, Any]:
    settings = without(settings_of(step), "models", "gpu_memory_gb", "batch")
    if isinstance(step, NetworkStep):
        settings |= step.models.arithmetic
    # Steps of two methods may have the same name and settings.
    return {"step": step.name, "class": type(step).__qualname__, **settings}


def image_chain(variants: Mapping[str, Settings], banks: Mapping[str, Bank]) -> list[Step]:
    """Image or sequence -> `objects`, for all variants at once.

    Args:
        variants: label -> settings, at least one.
        banks: label -> what to look for.

    Raises:
        ConfigError: some methods take images and others sequences.
    """
    kinds = {settings.method.row_is for settings in variants.values()}
    if len(kinds) > 1:
        raise ConfigError("methods for images and for sequences cannot be compared in one run")
    chains = {
        label: _bound(
            [*_heads(settings), *settings.method.image_steps(banks[label])], settings.models
        )
        for label, settings in variants.items()
    }
    heads = len(_heads(next(iter(variants.values()))))
    return side_by_side(chains, "objects", heads, also=("crowds",))


def _heads(settings: Settings) -> list[Step]:
    if settings.method.row_is == "sequence":
        return [OpenFrames(settings.images)]
    return [Read(), Decode(settings.images)]


def _bound(steps: list[Step], models: Models) -> list[Step]:
    for step in steps:
        if isinstance(step, NetworkStep):
            step.models = models
    return steps
