"""The three-line way in: load a profile, give prompts, segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ipseg.bank import Bank, PromptsInMemory
from ipseg.benchmarks.ground_truth import rle_address
from ipseg.components import DEFAULT_PROFILE
from ipseg.config import Config, load_config
from ipseg.errors import ImageError, PromptError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.objects import Object, best_scores, notable
from ipseg.prompts import find_prompts, parse_box, parse_points
from ipseg.rows import Image, Mask, Row, Step, is_failed
from ipseg.runner import prepare, run_local
from ipseg.storage.addresses import fetch
from ipseg.vision.images import encode_png
from ipseg.vision.masks import encode_rle
from ipseg.vision.overlay import Drawn, colour_of, draw

ImageLike = str | Path | bytes | Image  # address, encoded image, or (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class Prompt:
    """One prompt image. Without a mask, box or points, the profile's support finds the object.

    Attributes:
        image: path, URL, encoded bytes or (H, W, 3) uint8 RGB.
        mask: (H, W) bool, the object.
        box: x0, y0, x1, y1 in pixels.
        points: (x, y) in pixels, or several, on the object.
    """

    image: ImageLike
    mask: Mask | None = None
    box: Sequence[float] | None = None
    points: Sequence[Any] | None = None


@dataclass(frozen=True)
class Segmentation:
    """What was found in one image or sequence.

    Attributes:
        images: (H, W, 3) uint8 RGB each, upright: the image, or the frames of the sequence.
        objects: found, with their masks and scores.
        concepts: all that was looked for, in the bank's order, found or not.
    """

    images: Sequence[Image]
    objects: tuple[Object, ...]
    concepts: tuple[str, ...]

    @property
    def image(self) -> Image:
        """The image, or the first frame."""
        return self.images[0]

    @property
    def masks(self) -> dict[str, Mask]:
        """Concept -> (H, W) bool, all of its objects in `image` together."""
        found: dict[str, Mask] = {}
        for each in self.of_frame(0):
            found[each.concept] = each.mask | found.get(each.concept, False)
        return found

    @property
    def points(self) -> dict[str, npt.NDArray[np.float32]]:
        """Concept -> (n, 3): x, y in pixels of `image`, label 1 on the object and 0 off it."""
        return {
            name: np.concatenate([o.points for o in self.of_frame(0) if o.concept == name])
            for name in self.masks
        }

    @property
    def scores(self) -> dict[str, float]:
        """Concept -> highest score of its objects, in [0, 1]."""
        return best_scores(self.objects)

    def of_frame(self, frame: int) -> list[Object]:
        """The objects of one frame; of frame 0 in a still image."""
        return [each for each in self.objects if each.frame == frame]

    def overlay(self, min_score: float | None = None, frame: int = 0) -> Image:
        """(H, W, 3) uint8: the image with masks, points and scores drawn on it.

        Args:
            min_score: objects below are left out; None leaves out concepts far from the best.
            frame: of a sequence.
        """
        kept = notable(self.scores, min_score)
        objects = [
            each
            for each in self.of_frame(frame)
            if each.concept in kept and (min_score is None or each.score >= min_score)
        ]
        drawn = [
            Drawn(
                colour_of(self.concepts.index(each.concept)),
                each.mask,
                each.points,
                f"{each.concept} {each.score:.2f}",
            )
            for each in sorted(objects, key=lambda each: each.score)  # the highest score on top
        ]
        return draw(self.images[frame], drawn)


class Model:
    """A loaded profile. Give it prompts, then images.

    Example:
        >>> model = ipseg.load("classical")
        >>> model.set_prompts({"cup": "cup.jpg"})
        >>> model.segment("table.jpg").masks["cup"]
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._steps: list[Step] = []
        self.bank: Bank | None = None

    def set_prompts(
        self, prompts: str | Path | Mapping[str, Prompt | ImageLike | Sequence[Prompt]]
    ) -> Bank:
        """Describes the prompts; replaces those of an earlier call.

        Args:
            prompts: a folder as for `ipseg segment --prompts`, or concept -> prompt or prompts.

        Raises:
            PromptError: a prompt cannot be used; names it.
        """
        if isinstance(prompts, Mapping):
            rows = list(_prompt_rows(prompts))
        else:
            rows = find_prompts(str(prompts))
        drawn = any(row.get("given_box") or row.get("given_points") for row in rows)
        steps = prompt_chains({"": self.config}, drawn=drawn).steps
        prepare(steps)
        bank = PromptsInMemory(list(run_local(steps, rows)), self.config.method.merge)
        self._steps = image_chain({"": self.config}, {"": bank})
        prepare(self._steps)
        self.bank = bank
        return bank

    # A string is an iterable of strings to a type checker; the first signature wins.
    @overload
    def segment(self, images: ImageLike) -> Segmentation: ...  # type: ignore[overload-overlap]

    @overload
    def segment(self, images: Iterable[ImageLike]) -> Iterator[Segmentation]: ...

    def segment(
        self, images: ImageLike | Iterable[ImageLike]
    ) -> Segmentation | Iterator[Segmentation]:
        """Finds every concept in one image, or in each of many, as they are asked for.

        Raises:
            PromptError: no prompts were given.
            ImageError: an image cannot be used; names it.
        """
        if self.config.method.row_is == "sequence":
            raise ImageError("this method takes sequences: use segment_sequence")
        if isinstance(images, str | Path | bytes | np.ndarray):
            return self._segment(_image_row(images))
        return (self._segment(_image_row(image)) for image in images)

    def segment_sequence(self, frames: Sequence[str | Path]) -> Segmentation:
        """Finds every concept in the frames of a sequence.

        Args:
            frames: paths or URLs, in order.

        Raises:
            PromptError: no prompts were given.
            ImageError: the method takes single images, or a frame cannot be used.
        """
        if self.config.method.row_is != "sequence":
            raise ImageError("this method takes single images: use segment")
        uris = [str(frame) for frame in frames]
        return self._segment({"key": uris[0], "uri": uris[0], "frame_uris": uris})

    def _segment(self, given: Row) -> Segmentation:
        if self.bank is None:
            raise PromptError("give prompts first: set_prompts({'cup': 'cup.jpg'})")
        (row,) = run_local(self._steps, [given])
        if is_failed(row):
            raise ImageError(f"{row['key']}: {row['error_message']} (in step {row['error_stage']})")
        images = row["frames"] if "frames" in row else [row["image"]]
        return Segmentation(images, tuple(row["objects"]), tuple(self.bank.categories))


def load(profile: str = DEFAULT_PROFILE, overrides: Sequence[str] = ()) -> Model:
    """Loads a profile; `overrides` are "section.key=value", as for `ipseg segment --set`."""
    return Model(load_config(profile, overrides))


def _image_row(image: ImageLike) -> Row:
    if isinstance(image, np.ndarray):
        return {"key": "array", "uri": "", "image_bytes": encode_png(image)}
    if isinstance(image, bytes):
        return {"key": "bytes", "uri": "", "image_bytes": image}
    return {"key": str(image), "uri": str(image), "image_bytes": fetch(str(image))}


def _prompt_rows(prompts: Mapping[str, Prompt | ImageLike | Sequence[Prompt]]) -> Iterator[Row]:
    for concept, given in prompts.items():
        many = given if isinstance(given, list | tuple) else [given]
        for index, each in enumerate(many):
            prompt = each if isinstance(each, Prompt) else Prompt(each)
            key = f"{concept}/{index}"
            row = {**_image_row(prompt.image), "key": key, "concept": concept}
            row["uri"] = row["uri"] or key
            if prompt.mask is not None:
                row["given_mask"] = rle_address(encode_rle(prompt.mask))
            if prompt.box is not None:
                row["given_box"] = parse_box([float(v) for v in prompt.box], key)
            if prompt.points is not None:
                row["given_points"] = parse_points(np.asarray(prompt.points).tolist(), key)
            yield row
