"""The three-line way in: load a profile, give prompts, segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from ipseg.bank import PromptBank
from ipseg.config import DEFAULT_PROFILE, Config, load_config
from ipseg.errors import ImageError, PromptError
from ipseg.methods import create_method
from ipseg.methods.ipseg.scoring import notable
from ipseg.prompts import find_prompts
from ipseg.rows import Image, Mask, Row, Step, is_failed
from ipseg.runner import prepare, run_step
from ipseg.storage.addresses import fetch
from ipseg.vision.images import encode_png
from ipseg.vision.masks import decode_rle
from ipseg.vision.overlay import Drawn, colour_of, draw

Picture = str | Path | bytes | Image  # address, encoded picture, or (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class Prompt:
    """One prompt image.

    Attributes:
        image: path, URL, encoded bytes or (H, W, 3) uint8 RGB.
        mask: (H, W) bool, the object; None lets saliency find it.
    """

    image: Picture
    mask: Mask | None = None


@dataclass(frozen=True)
class Segmentation:
    """What was found in one image. Every mapping goes from concept to value.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        masks: (H, W) bool.
        points: (n, 3) float32: x, y in pixels, label 1 on the object and 0 off it.
        scores: confidence in [0, 1].
        concepts: all that was looked for, in the bank's order, found or not.
    """

    image: Image
    masks: dict[str, Mask]
    points: dict[str, npt.NDArray[np.float32]]
    scores: dict[str, float]
    concepts: tuple[str, ...]

    def overlay(self, min_score: float | None = None) -> Image:
        """(H, W, 3) uint8: the image with masks, points and scores drawn on it.

        Args:
            min_score: objects below are left out; None leaves out those far from the best.
        """
        scores = self.scores
        shown = notable(scores, min_score)
        drawn = [
            Drawn(
                colour_of(self.concepts.index(concept)),
                self.masks[concept],
                self.points[concept],
                f"{concept} {scores[concept]:.2f}",
            )
            for concept in sorted(shown, key=lambda concept: scores[concept])  # the surest on top
        ]
        return draw(self.image, drawn)


class IPSeg:
    """A loaded profile. Give it prompts, then images.

    Example:
        >>> model = ipseg.load("classical")
        >>> model.set_prompts({"cup": "cup.jpg"})
        >>> model.segment("table.jpg").masks["cup"]
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._method = create_method(config)
        self._steps: list[Step] = []
        self.bank: PromptBank | None = None

    def set_prompts(
        self, prompts: str | Path | PromptBank | Mapping[str, Prompt | Picture | Sequence[Prompt]]
    ) -> PromptBank:
        """Describes the prompts; replaces those of an earlier call.

        Args:
            prompts: a folder as for `ipseg segment --prompts`, concept -> prompt or prompts, or
                a bank that was made before.

        Raises:
            PromptError: a prompt cannot be used; names it.
        """
        if isinstance(prompts, PromptBank):
            prompts.check_settings(self.config, "given")
            bank = prompts
        else:
            steps = self._method.prompt_steps()
            prepare(steps)
            rows = find_prompts(str(prompts)) if isinstance(prompts, str | Path) else []
            if isinstance(prompts, Mapping):
                rows = list(_prompt_rows(prompts))
            for step in steps:
                rows = run_step(step, rows)
            bank = self._method.bank(rows)
        self._steps = self._method.image_steps(bank)
        prepare(self._steps)
        self.bank = bank
        return bank

    # A string is an iterable of strings to a type checker; the first signature wins.
    @overload
    def segment(self, images: Picture) -> Segmentation: ...  # type: ignore[overload-overlap]

    @overload
    def segment(self, images: Iterable[Picture]) -> Iterator[Segmentation]: ...

    def segment(self, images: Picture | Iterable[Picture]) -> Segmentation | Iterator[Segmentation]:
        """Finds every concept in one image, or in each of many, as they are asked for.

        Raises:
            PromptError: no prompts were given.
            ImageError: an image cannot be used; names it.
        """
        if self.bank is None:
            raise PromptError("give prompts first: set_prompts({'cup': 'cup.jpg'})")
        if isinstance(images, str | Path | bytes | np.ndarray):
            return self._segment(images)
        return (self._segment(image) for image in images)

    def _segment(self, picture: Picture) -> Segmentation:
        assert self.bank is not None  # noqa: S101  (segment has checked)
        rows = [_picture_row(picture)]
        for step in self._steps:
            rows = run_step(step, rows)
        row = rows[0]
        if is_failed(row):
            raise ImageError(f"{row['key']}: {row['error_message']} (in step {row['error_stage']})")
        objects = {item["concept"]: item for item in row["objects"]}
        return Segmentation(
            image=row["image"],
            masks={name: decode_rle(item["segmentation"]) for name, item in objects.items()},
            points={
                name: np.array(
                    [(p["x"], p["y"], p["label"]) for p in item["points"]], np.float32
                ).reshape(-1, 3)
                for name, item in objects.items()
            },
            scores={name: item["score"] for name, item in objects.items()},
            concepts=self.bank.names,
        )


def load(profile: str = DEFAULT_PROFILE, overrides: Sequence[str] = ()) -> IPSeg:
    """Loads a profile; `overrides` are "section.key=value", as for `ipseg segment --set`."""
    return IPSeg(load_config(profile, overrides))


def _picture_row(picture: Picture) -> Row:
    if isinstance(picture, np.ndarray):
        return {"key": "array", "uri": "", "image_bytes": encode_png(picture)}
    if isinstance(picture, bytes):
        return {"key": "bytes", "uri": "", "image_bytes": picture}
    return {"key": str(picture), "uri": str(picture), "image_bytes": fetch(str(picture))}


def _prompt_rows(
    prompts: Mapping[str, Prompt | Picture | Sequence[Prompt]],
) -> Iterator[Row]:
    for concept, given in prompts.items():
        many = given if isinstance(given, list | tuple) else [given]
        for index, each in enumerate(many):
            prompt = each if isinstance(each, Prompt) else Prompt(each)
            mask = prompt.mask
            yield {
                **_picture_row(prompt.image),
                "key": f"{concept}/{index}",
                "concept": concept,
                "mask_bytes": None if mask is None else encode_png(mask.astype(np.uint8) * 255),
            }
