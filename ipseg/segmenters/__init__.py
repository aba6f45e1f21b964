"""Point-prompted segmenters: points in, masks out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ipseg.networks.shared import Part
from ipseg.rows import Image, Map
from ipseg.segmenters.prompt import Decoded, Guidance, PointPrompt

if TYPE_CHECKING:
    from torch import Tensor


class Segmenter(Part, Protocol):
    """Encodes an image once and decodes any number of prompts against it.

    Attributes:
        takes_boxes: whether prompts can have a box.
        takes_similarity: whether its dense prior (`mask_input`) is a similarity map; otherwise it
            is the low-resolution logits of an earlier result.
    """

    takes_boxes: ClassVar[bool]
    takes_similarity: ClassVar[bool]

    def encode(self, images: Sequence[Image]) -> list[Any]:
        """One embedding for each (H, W, 3) uint8 image; its type is private to the segmenter."""

    def decode(
        self,
        embedding: Any,  # noqa: ANN401
        point_coords: npt.NDArray[np.float32],
        point_labels: npt.NDArray[np.integer[Any]],
        *,
        boxes: npt.NDArray[np.float64] | None = None,
        mask_input: Map | None = None,
        multimask: bool = True,
    ) -> Decoded:
        """Candidate masks for one set of points.

        Args:
            embedding: from `encode`.
            point_coords: (n, 2) x, y in pixels of the original image.
            point_labels: (n,) 1 for points on the object, 0 for others.
            boxes: (4,) x, y, x, y in pixels of the original image, fractions allowed, or None.
            mask_input: (h, w) dense prior over the image, higher is object, or None. Learned
                segmenters take the low-resolution logits of an earlier result.
            multimask: several candidates, or only the one for prompts with many points.
        """


@runtime_checkable
class BatchedSegmenter(Segmenter, Protocol):
    """A segmenter that decodes many prompts on one image in a batch."""

    def decode_many(
        self,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
        *,
        multimask: bool = True,
        best: bool = False,
    ) -> list[Decoded]:
        """The results of `decode` for each prompt; of each the best candidate alone, if wanted."""


@runtime_checkable
class StreamingSegmenter(Segmenter, Protocol):
    """A segmenter that decodes thousands of prompts on one image in a stream."""

    def decode_logits(
        self,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
        *,
        multimask: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (C, h, w) over the square and predicted IoUs (C,) of each; all of one form."""


@runtime_checkable
class SeparatingSegmenter(Segmenter, Protocol):
    """A segmenter that decodes several objects of one kind together, so that it can part them."""

    def decode_apart(
        self,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
    ) -> Iterator[Decoded]:
        """One candidate for each prompt; they share pixels of their outline at most."""


@runtime_checkable
class FeatureSegmenter(BatchedSegmenter, Protocol):
    """A segmenter whose image embedding is also used to compare images (PerSAM)."""

    def feature_map(self, embedding: Any) -> Tensor:  # noqa: ANN401
        """(c, gh, gw) float32 image embedding over the whole square."""

    def on_features(self, embedding: Any, image: Image) -> Tensor:  # noqa: ANN401
        """(3, gh, gw) float32: another image of the same size on the grid of the features."""


@runtime_checkable
class GuidedSegmenter(FeatureSegmenter, Protocol):
    """A segmenter whose decoder can be guided by a target (PerSAM)."""

    def decode_guided(
        self,
        embedding: Any,  # noqa: ANN401
        prompts: Sequence[PointPrompt],
        guidance: Sequence[Guidance],
        *,
        multimask: bool = True,
        best: bool = False,
    ) -> list[Decoded]:
        """The results of `decode_many`, with guidance for each prompt."""
