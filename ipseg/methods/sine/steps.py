"""The steps of SINE: pool what is in a reference, find it in an image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from ipseg.bank import Bank, Entry
from ipseg.errors import PromptError
from ipseg.methods.sine.answers import (
    class_scores,
    convincing_beyond,
    identities,
    instances,
    owners,
)
from ipseg.methods.sine.canvas import Canvas, Size
from ipseg.methods.sine.mformer import Prediction, Target
from ipseg.methods.sine.network import Encoded, SineNetwork
from ipseg.methods.sine.pooling import Pooled, pool
from ipseg.methods.sine.settings import Settings
from ipseg.objects import PRESENCE, Object
from ipseg.rows import Arrays, Image, Row
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.segment import SegmentStep
from ipseg.vision.masks import read_soft_mask

log = logging.getLogger("ipseg")

BEYOND = "beyond_limit"  # evidence: more instances that are there more likely than not


@dataclass
class DescribeReference(NetworkStep):
    """The features of a reference's object, summed over its cells, and how many these are."""

    network: SineNetwork
    canvas: Canvas

    name: ClassVar[str] = "describe"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `prompt_features`: `sums` (1, c) and `areas` (1,) float32.

        Raises:
            PromptError: nothing is left of the object at the resolution of the network.
        """
        encoded = self.network.encode([row["image"] for row in rows], self.canvas)
        return [
            {**row, "prompt_features": self._features(row, each)}
            for row, each in zip(rows, encoded, strict=True)
        ]

    @torch.inference_mode()
    def _features(self, row: Row, encoded: Encoded) -> Arrays:
        mask = read_soft_mask(row["support_mask"]) > 0.5
        placed = self.canvas.place_mask(mask, encoded.view).to(encoded.features.device)
        pooled = pool(encoded.features, placed[None])
        if pooled.areas[0] == 0:
            raise PromptError(
                f"the object of {row['uri']} has {mask.sum()} pixels, of which nothing is left at "
                f"the resolution of the network: cut the image to the object, or draw a larger mask"
            )
        return {"sums": pooled.sums.cpu().numpy(), "areas": pooled.areas.cpu().numpy()}


def pooled_of(entry: Entry, device: torch.device) -> Pooled:
    """What the bank keeps of the examples of a concept."""
    features = entry.features
    return Pooled(*(torch.from_numpy(features[n].copy()).to(device) for n in ("sums", "areas")))


def kept_examples(shots: Sequence[Arrays]) -> Arrays:
    """What the bank keeps of several examples: all, as tasks pool them in different ways."""
    return {name: np.concatenate([each[name] for each in shots]) for name in shots[0]}


@dataclass(frozen=True)
class Question:
    """An image in which something is looked for.

    Attributes:
        key: of the image.
        target: the image for the M-Former.
        encoded: the same before it.
        size: rows and columns of the image.
    """

    key: str
    target: Target
    encoded: Encoded
    size: Size


@dataclass
class SegmentReferences(SegmentStep):
    """What a row asks for, by one of three tasks; the image is encoded once for all."""

    network: SineNetwork
    canvas: Canvas
    settings: Settings
    bank: Bank

    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """See `SegmentStep.encode`."""
        return self.network.encode(images, self.canvas)

    @torch.inference_mode()
    def objects(self, row: Row, encoded: Encoded) -> list[Object]:
        """By the task, of each concept of which something was found."""
        entries = self.bank.asked(row)
        if not entries:
            return []
        target = self.network.mformer.target(encoded.features)
        together = self.settings.asking.concepts == "together"
        groups = [entries] if together else [[entry] for entry in entries]
        answer = {
            "semantic": self._classes,
            "instance": self._instances,
            "identity": self._identities,
        }[self.settings.task]
        question = Question(row["key"], target, encoded, row["image"].shape[:2])
        return [o for group in groups for o in answer(group, question)]

    def _classes(self, entries: Sequence[Entry], question: Question) -> Iterator[Object]:
        examples = [pooled_of(entry, question.target.tokens.device) for entry in entries]
        prediction = self.network.mformer.classify(
            question.target,
            torch.cat([each.each for each in examples]),
            torch.stack([each.together for each in examples]),
            self.settings.asking.attention_mask,
        )
        scores = class_scores(prediction, question.encoded.view, question.size)
        masks = scores > self.settings.semantic.threshold
        rule = self.settings.asking.overlaps
        if rule != "keep":
            numbers = torch.arange(1, len(masks) + 1, device=masks.device)[:, None, None]
            ranks = scores if rule == "best" else masks * numbers
            masks &= ranks.argmax(dim=0) == numbers - 1
        for entry, mask, values in zip(entries, masks, scores, strict=True):
            if mask.any():
                inside = values[mask]
                yield Object.of(
                    entry.concept,
                    entry.category_id,
                    mask.cpu().numpy(),
                    float(inside.clamp(max=1).mean()),
                    evidence={
                        "class_score_mean": float(inside.mean()),
                        "class_score_max": float(inside.max()),
                    },
                )

    def _instances(self, entries: Sequence[Entry], question: Question) -> Iterator[Object]:
        examples = [pooled_of(entry, question.target.tokens.device) for entry in entries]
        classes = torch.stack([each.together for each in examples])
        prediction = self.network.mformer.classify(
            question.target, classes[:0], classes, self.settings.asking.attention_mask
        )
        wanted = self.settings.instance
        evidence: dict[str, float] = {}
        if beyond := convincing_beyond(prediction, wanted.limit):
            log.warning(
                "%s has %d more probable instances than instance.limit=%d: raise it",
                *(question.key, beyond, wanted.limit),
            )
            evidence = {BEYOND: float(beyond)}
        # As run lengths, not as masks: a hundred of a large image take a gigabyte.
        found = [
            Object.of(
                entries[each.number].concept,
                entries[each.number].category_id,
                each.mask.cpu().numpy(),
                each.score,
                evidence={
                    **{"class_probability": each.probability, "outline": each.outline},
                    **evidence,
                },
            )
            for each in instances(prediction, question.encoded.view, question.size, wanted.limit)
            if each.score > wanted.min_score and each.mask.any()
        ]
        numbers: Counter[str] = Counter()
        for each in sorted(found, key=lambda instance: -instance.score):
            yield replace(each, instance=numbers[each.concept])
            numbers[each.concept] += 1

    def _identities(self, entries: Sequence[Entry], question: Question) -> Iterator[Object]:
        examples = [pooled_of(entry, question.target.tokens.device) for entry in entries]
        prediction = self.network.mformer.identify(
            question.target,
            torch.stack([each.together for each in examples]),
            self.settings.asking.attention_mask,
        )
        yield from self._present(entries, prediction, question)

    def _present(
        self, entries: Sequence[Entry], prediction: Prediction, question: Question
    ) -> Iterator[Object]:
        view, size, rule = question.encoded.view, question.size, self.settings.asking.overlaps
        owner = None if rule == "keep" else owners(prediction, view, size, rule)
        for each in identities(prediction, view, size):
            entry = entries[each.number]
            mask = each.mask if owner is None else each.mask & (owner == each.number)
            if each.probability < self.settings.identity.min_presence or not mask.any():
                continue
            yield Object.of(
                entry.concept,
                entry.category_id,
                mask.cpu().numpy(),
                each.score,
                evidence={PRESENCE: each.probability, "outline": each.outline},
            )
