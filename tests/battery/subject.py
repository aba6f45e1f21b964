"""A method that is tried: its profile with tiny weights and small work images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from scenes import Scenes

from ipseg.bank import Bank, PromptsInMemory
from ipseg.columns import from_table, to_table
from ipseg.config import Config, load_config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.metrics import Counts
from ipseg.objects import Object
from ipseg.prompts import find_prompts
from ipseg.rows import Arrays, Row, Step
from ipseg.runner import prepare, run_local
from pipeline.runfolder.parts import read_rows

# Setting -> value that makes it quick, or find anything at all, where a profile has it and it is
# not null.
_QUICK = {
    "support.saliency.long_side": 96,
    "support.saliency.regions": 80,
    "support.saliency.size": 112,
    "saliency.long_side": 96,
    "saliency.regions": 80,
    "features.classical.long_side": 96,
    "features.sift.long_side": 144,
    "features.dinov2.size": 112,
    "features.stable_diffusion.size": 128,
    "features.stable_diffusion.crop": 128,
    "canvas.side": 112,
    "network.size": 128,
    "components": 8,
    "proposing.points_per_side": 2,
    "square.side": 56,
    "square.frame": 56,
    "sampling.centres": 4,
    "sampling.most": 4,
    "sampling.subsets": 1,
    "proposals.least_stability": 0,  # random weights give masks that are not stable
    "proposals.grid.least_stability": 0,
    "wide.first": 60,
    "wide.short": 56,
    "wide.long": 84,
    "tracking.centres": 2,
    "tracking.together": 1,
    "proposals.grid.side": 1,
    "segmenter.long_side": 96,
    "segmenter.regions": 80,
    "persam.iterations": 10,
    "counter.side": 64,
    "counter.long_side": 96,
    "persense.turns": 1,
    "detector.short_side": 96,
    "detector.threshold": 0.99,
    "groupvit.short_side": 96,
    # Random weights are certain of nothing.
    "answer.threshold": 0,
    "naming.background": 0,
    "grounding.nms": 0.02,  # and find too much
}
# Weights whose tiny version still has all the 48 blocks, and others of their kind that have 12.
_SHALLOWER = {"facebook/sam2-hiera-large": "facebook/sam2.1-hiera-tiny"}
# What a sweep is made of beside another support: the first that a method has.
_SWEPT = (
    *("points.k=8", "persam.topk=2", "persense.idm.hybrid=true"),
    *("merging.most=1", "tracking.frames=2"),
    *("semantic.threshold=3", "memory.frames=1", "threshold=0.1", "labelling.nms=0.7", "alike=0.7"),
    *("painting.embedding=semantic", "answer.task=instance"),
    *("grounding.task=instance", "naming.best=2"),
)

# How far the same work may differ, done in another batch or by another process.
_LAST_DIGITS = 1e-5
_LEAST_IOU = 0.999
_EXACT = ("concept", "category_id", "instance", "frame", "status", "points")

Found = dict[str, dict[str, Any]]  # name of an image -> its error, and its objects as stored


@dataclass(frozen=True)
class Subject:
    """One profile.

    Attributes:
        profile: name or file.
        root: of the tiny weights.
        scenes: what it is tried on.
        more: settings beside those that make it quick.
    """

    profile: str
    root: Path
    scenes: Scenes
    more: tuple[str, ...] = ()
    _found_of: dict[tuple[str, ...], Found] = field(default_factory=dict, compare=False)

    @cached_property
    def settings(self) -> list[str]:
        """Overrides of the profile."""
        plain = load_config(self.profile).resolved
        quick = [f"{path}={value}" for path, value in _QUICK.items() if _has(plain, path)]
        deep = (plain.get("segmenter") or {}).get("weights")
        if deep in _SHALLOWER:
            quick.append(f"segmenter.weights={_SHALLOWER[deep]}")
        return [f"models.root={self.root}", "models.device=cpu", *quick, *self.more]

    @cached_property
    def config(self) -> Config:
        """With everything quick."""
        return load_config(self.profile, self.settings)

    @cached_property
    def variants(self) -> dict[str, Config]:
        """Of a sweep: as it is, with another support, and with another setting of its own."""
        other = "mask" if self.config.support.kind == "none" else "none"
        variants = {"": self.config, "support": self._with(f"support={other}")}
        for override in _SWEPT:
            try:
                return {**variants, override: self._with(override)}
            except ConfigError:
                continue
        return variants

    def _with(self, override: str) -> Config:
        return load_config(self.profile, [*self.settings, override])

    @property
    def images(self) -> list[Row]:
        """Rows to look into."""
        return self.scenes.rows(self.config.method.row_is)

    @cached_property
    def bank(self) -> PromptsInMemory:
        """Of all prompts, with the settings as they are."""
        return banks_of({"": self.config}, find_prompts(str(self.scenes.prompts)))[""]

    @cached_property
    def steps(self) -> list[Step]:
        """Of images, ready to run."""
        return self.steps_for(self.bank)

    def steps_for(self, bank: Any) -> list[Step]:
        """Of images, ready to run with another bank."""
        steps = image_chain({"": self.config}, {"": bank})
        prepare(steps)
        return steps

    @cached_property
    def usual(self) -> Found:
        """What it finds in all images, for all concepts."""
        return found(run_local(self.steps, self.images))

    def found_of(self, *concepts: str) -> Found:
        """What it finds in all images if these are all the concepts that there are.

        For a method whose concepts do not compete that is what it usually finds of them.
        """
        if self.config.method.concepts_compete:
            if concepts not in self._found_of:
                steps = self.steps_for(Only(self.bank, concepts))
                self._found_of[concepts] = found(run_local(steps, self.images))
            return self._found_of[concepts]
        mine = {
            name: [o for c in concepts for o in row["objects"] if o["concept"] == c]
            for name, row in self.usual.items()
        }
        return {name: row | {"objects": mine[name]} for name, row in self.usual.items()}


@dataclass
class Only(Bank):
    """Some concepts of a bank."""

    whole: Bank
    concepts: Sequence[str]

    @property
    def identity(self) -> tuple[str, ...]:
        return (*self.whole.identity, *self.concepts)

    @property
    def categories(self) -> dict[str, int]:
        return {name: self.whole.categories[name] for name in self.concepts}

    def features(self, concept: str) -> Arrays:
        return self.whole.features(concept)

    def failure(self, concept: str) -> str | None:
        return self.whole.failure(concept)


def _has(settings: Mapping[str, Any], path: str) -> bool:
    first, _, rest = path.partition(".")
    value = settings.get(first)
    if not rest:
        return value is not None
    return isinstance(value, Mapping) and _has(value, rest)


def described(variants: Mapping[str, Config], prompts: Sequence[Row]) -> list[Row]:
    """Prompts that went through the chains of all variants."""
    steps = prompt_chains(variants).steps
    prepare(steps)
    return list(run_local(steps, prompts))


def banks_of(variants: Mapping[str, Config], prompts: Sequence[Row]) -> dict[str, PromptsInMemory]:
    """Label -> bank."""
    rows = described(variants, prompts)
    chain_of = prompt_chains(variants).chain_of
    return {
        label: PromptsInMemory(rows, config.method.merge, chain_of[label])
        for label, config in variants.items()
    }


def found(rows: Iterable[Row], variant: str | None = None) -> Found:
    """What is found in each row, as it is after a trip through Arrow.

    Args:
        rows: finished.
        variant: whose objects, without their label; None takes all.
    """
    return {
        name_of(row): {
            "error": row.get("error_type"),
            "objects": [
                each.record() | ({} if variant is None else {"variant": ""})
                for each in row.get("objects", ())
                if variant in (None, each.variant)
            ],
        }
        for row in from_table(to_table(list(rows), ["key", "error_type", "objects"]))
    }


def found_in(out: str, variant: str | None = None) -> Found:
    """The same of a run folder."""
    rows = [
        {**row, "objects": [Object.from_record(each) for each in row["objects"]]}
        for row in read_rows(out, ["key", "error_type", "objects"])
    ]
    return found(rows, variant)


def name_of(row: Row) -> str:
    """Of an image or a sequence, as in `scenes.NAMES`."""
    return str(row["key"]).removesuffix(".png")


def differences(some: Found, others: Found) -> list[str]:
    """What differs, a line each; numbers may in the last digits, as batches and threads do.

    Masks may differ in a pixel of a thousand.
    """
    if some.keys() != others.keys():
        return [f"{sorted(some)} and {sorted(others)}"]
    lines = []
    for key, one in some.items():
        other = others[key]
        if one["error"] != other["error"] or len(one["objects"]) != len(other["objects"]):
            lines.append(f"{key}: {_short(one)} and {_short(other)}")
            continue
        pairs = zip(one["objects"], other["objects"], strict=True)
        lines += [
            f"{key}, {first['concept']}: {name}"
            for first, second in pairs
            for name in _differ(first, second)
        ]
    return lines


def _differ(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    masks = [Object.from_record(each).mask for each in (one, other)]
    if masks[0].shape != masks[1].shape or Counts.of(*masks).iou < _LEAST_IOU:
        yield "mask"
    exact = (*_EXACT, "variant")
    yield from (
        f"{name} {one[name]} and {other[name]}" for name in exact if one[name] != other[name]
    )
    numbers = [
        {"score": each["score"], "predicted_iou": each["predicted_iou"]}
        | {item["name"]: item["value"] for item in each["evidence"]}
        for each in (one, other)
    ]
    if numbers[0] != pytest.approx(numbers[1], abs=_LAST_DIGITS):
        yield f"numbers {numbers[0]} and {numbers[1]}"


def _short(one: dict[str, Any]) -> str:
    return one["error"] or f"objects of {[each['concept'] for each in one['objects']]}"
