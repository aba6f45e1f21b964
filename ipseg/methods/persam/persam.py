"""PerSAM: one image with a mask, no training.

Source: PerSAM (Zhang et al., ICLR 2024), `persam.py` of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipseg.methods.persam.cascade import refine_in_box
from ipseg.methods.persam.location import Location, locate
from ipseg.methods.persam.reference import Reference, Settings, object_features
from ipseg.rows import Mask
from ipseg.segmenters import FeatureSegmenter, GuidedSegmenter
from ipseg.segmenters.prompt import Decoded, Guidance
from ipseg.segmenters.promptable import Embedding
from ipseg.segmenters.refinement import again, refine


@dataclass(frozen=True)
class PerSAM(Settings):
    """The method as released; all of it works on images that were encoded before."""

    def describe(self, segmenter: FeatureSegmenter, embedding: Embedding, mask: Mask) -> Reference:
        """What to remember of a reference image.

        Args:
            segmenter: what `embedding` comes from.
            embedding: of the reference image.
            mask: (H, W) bool, its object.

        Raises:
            PromptError: the mask is empty.
        """
        features = object_features(segmenter, embedding, mask, self.mask_value)
        return Reference(features.mean(dim=0).cpu().numpy())

    def locate(
        self, segmenter: FeatureSegmenter, embedding: Embedding, references: Sequence[Reference]
    ) -> list[Location]:
        """Where each concept is in an image: positive and negative points, attention."""
        return locate(segmenter, embedding, references, topk=self.topk, negative=True)

    def segment(
        self,
        segmenter: GuidedSegmenter,
        embedding: Embedding,
        references: Sequence[Reference],
        locations: Sequence[Location],
    ) -> list[Decoded]:
        """One mask for each concept, in three passes of the decoder.

        1. The points, guided by the target, one candidate.
        2. The points and the logits of pass 1, not guided; the candidate with the highest
           predicted IoU.
        3. The points, the box of that mask and its logits; again the best candidate. If the mask
           is empty, the answer is that of pass 1.

        Args:
            segmenter: what `embedding` comes from.
            embedding: of the image.
            references: the concepts.
            locations: of each, from `locate`.

        Returns:
            One candidate for each concept, in order; its mask may be empty.
        """
        prompts = [location.prompt for location in locations]
        guidance = [
            Guidance(location.attention, reference.target)
            for location, reference in zip(locations, references, strict=True)
        ]
        first = segmenter.decode_guided(embedding, prompts, guidance, multimask=False)
        second = refine(segmenter, embedding, list(map(again, prompts, first)))
        return refine_in_box(segmenter, embedding, prompts, second, first)
