"""Operations for one image, part by part, beside those of the released code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import torch

from ipseg.features.dinov2 import Dinov2
from ipseg.features.similarity import cosine_similarity
from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.methods.ipseg.method import IPSeg
from ipseg.saliency.cornet import CorNetSaliency
from ipseg.segmenters.promptable import PromptableNetwork
from ipseg.segmenters.segment_anything import SegmentAnything
from ipseg.steps.support import FindSupport, Support
from jobs.bench.counting import (
    CONDITIONING,
    META,
    Counted,
    adopt,
    conditioning,
    count,
    decoding,
    encoding,
    operations,
    published,
    windows,
)

ENCODER, DECODER = "image encoder", "mask decoder"
_PASSES = ({"box": False, "mask": False}, {"box": False, "mask": True}, {"box": True, "mask": True})
_POINTS = 8
_KMEANS_ROUNDS = 20


@dataclass(frozen=True)
class Operations:
    """What a profile does, in operations.

    Attributes:
        image: network -> for each image, whatever the number of concepts.
        concept: part -> for each concept in each image.
        prompt: network -> to find the object of each prompt image, once in a run.
        conditioning: of ODISE's term for one image, whether the profile has it or not; 0 where
            there is nothing that it could be added to.
        left_out: networks that run and cannot be counted, and why.
        notes: what is too little, or too seldom done, to be counted with the others; or how
            something was counted.
    """

    image: dict[str, int]
    concept: dict[str, int]
    prompt: dict[str, int]
    conditioning: int = 0
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def total(self, concepts: int = 1) -> int:
        """For one image."""
        return sum(self.image.values()) + concepts * sum(self.concept.values())

    def without_term(self) -> int:
        """For one image and one concept, without ODISE's term."""
        return self.total() - self.image.get(CONDITIONING, 0)

    def with_term(self) -> int:
        """For one image and one concept, with ODISE's term."""
        return self.without_term() + self.conditioning


def count_profile(method: IPSeg, support: Support) -> Operations:
    """Counts what runs in the parts of a profile, at the published size of its networks.

    Raises:
        ConfigError: a profile names weights whose sizes are not known, or a part is not set that
            the support needs.
    """
    image: dict[str, int] = {}
    concept: dict[str, int] = {}
    left_out: tuple[str, ...] = ()
    similarity = term = 0
    for extractor in method.extractors.values():
        counted = operations(extractor)
        image |= counted.operations
        left_out += counted.left_out
        similarity += sum(_compare(channels, cells) for channels, cells in counted.layers)
        if isinstance(extractor, StableDiffusion):
            term = conditioning(extractor, windows(extractor))
    if method.matching.saliency_weight > 0:
        counted = operations(method.saliency)
        image |= counted.operations
        left_out += counted.left_out
    selection = method.points
    if isinstance(method.segmenter, PromptableNetwork):
        points = selection.clusters + (selection.clusters_negative or selection.clusters)
        image[ENCODER], concept[DECODER] = count_segmenter(
            method.segmenter, points, method.refinement.passes
        )
    concept["similarity"] = similarity
    concept["points"] = _kmeans(selection.k, selection.clusters)
    prompt = count_support(support.step(method.segmenter, drawn=False))
    return Operations(image, concept, prompt.operations, term, left_out + prompt.left_out)


def count_segmenter(
    segmenter: PromptableNetwork, points: int, passes: Literal[1, 3]
) -> tuple[int, int]:
    """Operations of encoding one image, and of decoding one prompt of so many points."""
    sized = of_published_size(segmenter)
    encoder, features = encoding(sized)
    forms = _PASSES[:passes]
    return encoder, sum(decoding(sized, features, points, **form) for form in forms)


def count_support(step: FindSupport) -> Counted:
    """What finding the object of one prompt takes: its saliency, or its box or point decoded."""
    counted = operations(step.saliency)
    found = dict(counted.operations)
    if isinstance(step.segmenter, PromptableNetwork):
        segmenter = of_published_size(step.segmenter)
        encoder, features = encoding(segmenter)
        box = step.kind == "box"
        decoder = decoding(segmenter, features, 0 if box else 1, box=box, mask=False)
        found["segmenter of the support"] = encoder + decoder
    return replace(counted, operations=found)


def of_published_size(segmenter: Any) -> Any:  # noqa: ANN401  (a dataclass of the SAM family)
    """A copy with its network of published size, on 'meta'."""
    copy = replace(segmenter)
    adopt(copy, copy.weights)
    return copy


@cache
def count_released() -> Mapping[str, int]:
    """What the released code runs for one image, at the same sizes, part by part.

    From what it calls: four windows each through the whole UNet, the VAE's encoder and decoder
    (whose image nobody uses), CLIP, and twice the text encoder; DINOv2 at 840 pixels; SAM
    ViT-H three times, encoder included; `cornet` for every image, not for prompts alone.
    """
    diffusion = StableDiffusion()
    parts = published(diffusion.weights)
    text, latent = parts["text_encoder"].config, torch.empty(4, 4, 64, 64, device=META)
    caption = torch.empty(4, text.max_position_embeddings, text.hidden_size, device=META)
    tokens = torch.empty(1, 77, dtype=torch.int64, device=META)
    found = {
        "UNet": count(lambda: parts["unet"](latent, 100, caption)),
        "VAE encoder": count(lambda: parts["vae"].encode(windows(diffusion))),
        "VAE decoder": count(lambda: parts["vae"].decode(latent)),
        CONDITIONING: conditioning(diffusion, windows(diffusion)),
        "text encoder": 8 * count(lambda: parts["text_encoder"](tokens)),
    }
    found |= operations(Dinov2()).operations
    segmenter = of_published_size(SegmentAnything(aspect="squash"))
    encoder, features = encoding(segmenter)
    found[ENCODER] = len(_PASSES) * encoder
    found[DECODER] = sum(decoding(segmenter, features, _POINTS, **form) for form in _PASSES)
    return MappingProxyType(found | operations(CorNetSaliency()).operations)


def _compare(channels: int, cells: int) -> int:
    """Of one layer's cells with one concept."""
    layer = torch.empty(cells, cells, channels, device=META)
    return count(lambda: cosine_similarity(layer, torch.empty(1, channels)))


def _kmeans(k: int, clusters: int) -> int:
    """By formula: distances in two dimensions, two kinds of points, no early stop."""
    return 2 * _KMEANS_ROUNDS * k * clusters * 2 * 3
