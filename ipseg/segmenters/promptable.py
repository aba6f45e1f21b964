"""The common base of the SAM family: images, points and boxes in, masks out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ipseg.errors import ConfigError
from ipseg.networks.batching import at_once, in_micro_batches
from ipseg.networks.models import Models
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image, Map
from ipseg.segmenters.frame import IMAGENET, Aspect, Frame, Statistics, fit, to_batch
from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.segmenters.prompt_batch import PromptBatch

_IN_STREAM = 64  # prompts at a time

Features = tuple[Tensor, ...]  # of one image, each with a leading 1, on the model's device


@dataclass(frozen=True)
class Embedding:
    """One encoded image.

    Attributes:
        features: input of the mask decoder, float32.
        frame: position of the image in the input of the encoder.
    """

    features: Features
    frame: Frame


class PromptableNetwork(ABC):
    """Encodes images in batches and decodes prompts.

    Coordinates are passed to the network in pixels of its square; SAM itself adds half a pixel to
    points and boxes.
    """

    kind: ClassVar[str]  # name in profiles, for messages
    takes_boxes: ClassVar[bool] = True
    takes_similarity: ClassVar[bool] = False
    gpu_memory_gb: float

    def __post_init__(self) -> None:
        # Not fields, because they are not settings; `setup` fills them in.
        self._network: Any = None
        self._models = Models()
        self._side = 0  # of the square input, pixels
        self._mask_side = 0  # of its low-resolution logits
        self._at_once: int | None = None  # prompts; None: as many as fit
        self._images_at_once: int | None = None
        self._last = LastBatch()

    def _install(self, network: torch.nn.Module, models: Models, side: int, patch: int) -> None:
        """Sets the loaded network.

        On a CPU, images and prompts are processed one by one. A batch would take longer (it does
        not fit into the caches), need n times the memory, and the last digits of its results would
        depend on the rest of the batch.
        """
        self._models = models
        self._side = side
        self._mask_side = 4 * (side // patch)
        device = models.torch_device()
        self._at_once = self._images_at_once = 1 if device.type == "cpu" else None
        self._network = network.float().eval().to(device)

    def tune(self) -> None:
        """Finds out how many images an NVIDIA card encodes at once in the declared memory."""
        blank = np.zeros((self._side, self._side, 3), np.uint8)
        tried = at_once(
            lambda n: self._encode_batch([blank] * n), self._network, self.gpu_memory_gb
        )
        self._images_at_once = tried or self._images_at_once

    @abstractmethod
    def _aspect(self) -> Aspect:
        """How images are resized to the square."""

    def _statistics(self) -> Statistics:
        """What the images of its training were normalised by."""
        return IMAGENET

    @abstractmethod
    def _encode(self, pixels: Tensor) -> Sequence[Features]:
        """(B, 3, side, side) -> features of each image."""

    @abstractmethod
    def _decode(self, features: Features, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, C, h, w) and predicted IoU (B, C)."""

    def encode(self, images: Sequence[Image]) -> list[Embedding]:
        """Encodes (H, W, 3) uint8 RGB images of any size; on a GPU as many at once as fit.

        The last batch is cached.
        """
        if self._network is None:
            raise RuntimeError(f"call {type(self).__name__}.setup() first")
        return self._last.get(
            images, lambda: in_micro_batches(self._encode_batch, images, self._images_at_once)
        )

    @torch.inference_mode()
    def _encode_batch(self, images: Sequence[Image]) -> list[Embedding]:
        aspect = self._aspect()
        frames = [Frame.around(i.shape[0], i.shape[1], self._side, aspect) for i in images]
        fitted = [fit(i, frame, aspect) for i, frame in zip(images, frames, strict=True)]
        pixels = to_batch(fitted, self._side, self._statistics()).to(self._models.torch_device())
        with self._models.autocast():
            encoded = self._encode(pixels)
        return [
            Embedding(tuple(tensor.float() for tensor in features), frame)
            for features, frame in zip(encoded, frames, strict=True)
        ]

    def feature_map(self, embedding: Embedding) -> Tensor:
        """The image embedding, which is the input of the mask decoder.

        Returns:
            (c, gh, gw) float32 over the whole square, padding included, on the model's device;
            (256, 64, 64) for SAM.
        """
        return embedding.features[self._embedding_at()][0]

    def _embedding_at(self) -> int:
        """Index of the image embedding in the features."""
        return 0

    def on_features(self, embedding: Embedding, image: Image) -> Tensor:
        """An image on the grid of the features of another one, for masks that are drawn as images.

        It is resized, normalised and padded as in `encode`, then resized to the grid (bilinear,
        that is, from the two middle pixels of a cell along each axis).

        Args:
            embedding: of the other image, for frame and grid.
            image: (H, W, 3) uint8, of the size of the encoded image.

        Returns:
            (3, gh, gw) float32 in units of the network's input, on the model's device.

        Raises:
            ValueError: the sizes differ.
        """
        frame = embedding.frame
        if image.shape[:2] != frame.image:
            raise ValueError(
                f"{image.shape[:2]} is not the size of the encoded image {frame.image}"
            )
        pixels = to_batch([fit(image, frame, self._aspect())], self._side, self._statistics())
        grid = self.feature_map(embedding)
        return functional.interpolate(
            pixels.to(grid.device), grid.shape[1:], mode="bilinear", align_corners=False
        )[0]

    def decode(
        self,
        embedding: Embedding,
        point_coords: npt.NDArray[np.float32],
        point_labels: npt.NDArray[np.integer[Any]],
        *,
        boxes: npt.NDArray[np.float64] | None = None,
        mask_input: Map | None = None,
        multimask: bool = True,
    ) -> Decoded:
        """Masks for one set of points.

        Args:
            embedding: of the image, from `encode`.
            point_coords: (n, 2) x, y in pixels of the image.
            point_labels: (n,) 1 for object, 0 for background.
            boxes: (4,) x, y, x, y in pixels of the image, fractions allowed; or None.
            mask_input: low-resolution logits of an earlier result, (h, w) float32; or None.
            multimask: three candidates, or the one for prompts with many points.

        Returns:
            Candidates, see `Decoded`; `frame_masks` have the resolution of the square.

        Raises:
            ConfigError: `mask_input` has another shape.
        """
        prompt = PointPrompt(point_coords, point_labels, boxes, mask_input)
        return self.decode_many(embedding, [prompt], multimask=multimask)[0]

    @torch.inference_mode()
    def decode_many(
        self,
        embedding: Embedding,
        prompts: Sequence[PointPrompt],
        *,
        multimask: bool = True,
        best: bool = False,
    ) -> list[Decoded]:
        """Masks for many sets of points on one image; sets of the same form are batched.

        Always runs in float32: it is at most 1 % of the work, and in 16 bits coordinates have a
        resolution of only 4 pixels. With `best`, only the candidate with the highest predicted IoU
        is brought to the size of the image and returned.
        """

        def decode(batch: PromptBatch, _: Sequence[int]) -> tuple[Tensor, Tensor]:
            return self._decode(embedding.features, batch)

        return self._in_groups(decode, embedding.frame, prompts, multimask=multimask, best=best)

    @torch.inference_mode()
    def decode_logits(
        self, embedding: Embedding, prompts: Sequence[PointPrompt], *, multimask: bool = True
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each of many prompts of one form what the network gives, in order, on the device.

        Yields:
            Logits (C, h, w) float32 over the square, and predicted IoUs (C,).
        """

        def decode(part: Sequence[PointPrompt]) -> list[tuple[Tensor, Tensor]]:
            batch = PromptBatch.of(part, embedding.frame, multimask, self._models.torch_device())
            logits, predicted_iou = self._decode(embedding.features, batch)
            return list(zip(logits.float(), predicted_iou.float(), strict=True))

        for start in range(0, len(prompts), _IN_STREAM):
            part = prompts[start : start + _IN_STREAM]
            yield from in_micro_batches(decode, part, self._at_once)

    def _in_groups(
        self,
        decode: Callable[[PromptBatch, Sequence[int]], tuple[Tensor, Tensor]],
        frame: Frame,
        prompts: Sequence[PointPrompt],
        *,
        multimask: bool,
        best: bool,
    ) -> list[Decoded]:
        """Results in the order of prompts; `decode` gets batches of one form and their indices."""
        groups: dict[tuple[int, bool, bool], list[int]] = {}
        for index, prompt in enumerate(prompts):
            self._check(prompt)
            form = (len(prompt.labels), prompt.box is not None, prompt.mask_input is not None)
            groups.setdefault(form, []).append(index)

        def answer(chosen: Sequence[int]) -> list[Decoded]:
            batch = PromptBatch.of(
                [prompts[i] for i in chosen], frame, multimask, self._models.torch_device()
            )
            logits, predicted_iou = decode(batch, chosen)
            return [
                _decoded(frame, *each, best=best)
                for each in zip(logits.float(), predicted_iou.float(), strict=True)
            ]

        found: dict[int, Decoded] = {}
        for indices in groups.values():
            answers = in_micro_batches(answer, indices, self._at_once)
            found.update(zip(indices, answers, strict=True))
        return [found[index] for index in range(len(prompts))]

    def _check(self, prompt: PointPrompt) -> None:
        shape = (self._mask_side, self._mask_side)
        if prompt.mask_input is not None and prompt.mask_input.shape != shape:
            raise ConfigError(
                f"the segmenter {self.kind} takes its own logits as mask_input, {shape}, not a "
                f"map of {prompt.mask_input.shape}; set refinement.prior=none"
            )


def _decoded(frame: Frame, logits: Tensor, predicted_iou: Tensor, *, best: bool) -> Decoded:
    if best:
        chosen = int(np.argmax(predicted_iou.cpu().numpy()))  # the first of equal ones
        logits, predicted_iou = logits[chosen : chosen + 1], predicted_iou[chosen : chosen + 1]
    masks, frame_masks = frame.masks(logits)
    return Decoded(
        masks=masks.cpu().numpy(),
        predicted_iou=predicted_iou.cpu().numpy(),
        low_res_logits=logits.cpu().numpy(),
        frame_masks=frame_masks.cpu().numpy(),
    )
