"""PerSAM-F: PerSAM with two numbers learned from its one image.

Source: PerSAM (Zhang et al., ICLR 2024), `persam_f.py` of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ipseg.methods.persam.cascade import refine_in_box
from ipseg.methods.persam.location import Location, locate
from ipseg.methods.persam.reference import Reference, Settings, object_features
from ipseg.methods.persam.tuning import tune
from ipseg.rows import Mask
from ipseg.segmenters import FeatureSegmenter
from ipseg.segmenters.prompt import Decoded
from ipseg.segmenters.promptable import Embedding


@dataclass(frozen=True)
class TunedReference(Reference):
    """One concept, and how much each of SAM's three candidates counts for it.

    Attributes:
        weights: (3,) float32, their sum is 1.
    """

    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class PerSAMF(Settings):
    """The method as released; all of it works on images that were encoded before.

    Attributes:
        iterations: steps of the tuning, at least 0; 1000 for images, 800 in the video script.
        learning_rate: of its first step, above 0; 1e-3 for images, 4e-4 in the video script.
    """

    iterations: int = 1000
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.iterations < 0 or self.learning_rate <= 0:
            raise ValueError("iterations must be at least 0 and learning_rate above 0")

    def describe(
        self, segmenter: FeatureSegmenter, embedding: Embedding, mask: Mask
    ) -> TunedReference:
        """What to remember of a reference image, and the tuning on it.

        The decoder runs once: nothing that it is given changes while the weights are tuned.

        Args:
            segmenter: what `embedding` comes from.
            embedding: of the reference image.
            mask: (H, W) bool, its object.

        Raises:
            PromptError: the mask is empty.
        """
        features = object_features(segmenter, embedding, mask, self.mask_value)
        target = (features.mean(dim=0) + features.amax(dim=0)) / 2
        untuned = Reference(target.cpu().numpy())
        (location,) = self.locate(segmenter, embedding, [untuned])
        (answer,) = segmenter.decode_many(embedding, [location.prompt])
        logits = torch.from_numpy(answer.low_res_logits).to(features.device)
        truth = torch.from_numpy(mask).to(features.device)
        weights = tune(embedding.frame.enlarge(logits), truth, self.iterations, self.learning_rate)
        return TunedReference(untuned.target, weights)

    def locate(
        self, segmenter: FeatureSegmenter, embedding: Embedding, references: Sequence[Reference]
    ) -> list[Location]:
        """Where each concept is in an image: positive points."""
        return locate(segmenter, embedding, references, topk=self.topk, negative=False)

    def segment(
        self,
        segmenter: FeatureSegmenter,
        embedding: Embedding,
        references: Sequence[TunedReference],
        locations: Sequence[Location],
    ) -> list[Decoded]:
        """One mask for each concept, in three passes of the decoder.

        1. The points; the candidates' weighted sum.
        2. The points, the box of that mask and its logits; the candidate with the highest
           predicted IoU.
        3. The same with the box and the logits of pass 2.

        If the mask of a pass is empty, the answer is that of pass 1.

        Args:
            segmenter: what `embedding` comes from.
            embedding: of the image.
            references: the concepts.
            locations: of each, from `locate`.

        Returns:
            One candidate for each concept, in order; its mask may be empty.
        """
        prompts = [location.prompt for location in locations]
        answers = segmenter.decode_many(embedding, prompts)
        first = [
            weighted(answer, reference.weights, embedding)
            for answer, reference in zip(answers, references, strict=True)
        ]
        second = refine_in_box(segmenter, embedding, prompts, first, first)
        return refine_in_box(segmenter, embedding, prompts, second, first)


def weighted(decoded: Decoded, weights: npt.NDArray[np.float32], embedding: Embedding) -> Decoded:
    """C candidates -> the one whose logits are their sum under (C,) weights.

    The released code adds the logits at the size of the image; enlarging is linear, so the small
    ones can be added. Its predicted IoU is the same sum of theirs, which the released code does
    not need.
    """
    logits = np.tensordot(weights, decoded.low_res_logits, axes=1)[None]
    masks, frame_masks = embedding.frame.masks(torch.from_numpy(logits))
    return Decoded(
        masks=masks.numpy(),
        predicted_iou=(weights @ decoded.predicted_iou)[None],
        low_res_logits=logits,
        frame_masks=frame_masks.numpy(),
    )
