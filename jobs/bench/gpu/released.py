"""What the released code of IPSeg has its networks do for one image, on this card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ipseg.networks.models import set_tf32
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import Refinement
from ipseg.segmenters.segment_anything import SegmentAnything
from ipseg.weights.architectures import networks
from ipseg.weights.tiny import random_state
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.encoders import ENCODERS
from jobs.bench.photos import photos

_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_CLIP = "openai/clip-vit-large-patch14-336"
_CROPS = 4
_ENCODES = 3


def measure_released(card: Card) -> dict[str, Any]:
    """Times it as that code works: float32, each crop by itself, nothing left out.

    Four crops through the whole UNet, both halves of the VAE, CLIP and twice the text encoder;
    DINOv2 at 840 pixels; SAM ViT-H with a new encoding for each of three passes; the saliency
    network for every image. As PyTorch is set by default, that is with TF32 in convolutions. What
    it does on CPUs is not counted.

    Returns:
        Seconds of each of `parts` for one image, and `seconds` of all.
    """
    work = [*_diffusion(card), *_encoders(card), ("mask decoder", _decoding(card), 1)]
    # Not before: encoding an image leaves the switches as ours are.
    torch.backends.cudnn.allow_tf32 = True
    try:
        with torch.inference_mode():
            found = {name: card.measure(run)["seconds"] * times for name, run, times in work}
    finally:
        set_tf32(False)
    return {"parts": found, "seconds": sum(found.values()), "precision": "float32"}


Timed = tuple[str, Callable[[], object], int]


def _diffusion(card: Card) -> list[Timed]:
    parts, clip = _made(card, _DIFFUSION), _made(card, _CLIP)[""].vision_model
    text = parts["text_encoder"].config
    side = ENCODERS["stable-diffusion"].pixels(tiny=card.tiny)
    pixels = torch.randn(1, 3, side, side, device=card.device)
    latent = torch.randn(1, 4, side // 8, side // 8, device=card.device)
    caption = torch.randn(1, 77, text.hidden_size, device=card.device)
    tokens = torch.zeros(1, 77, dtype=torch.int64, device=card.device)
    seen = torch.randn(1, 3, 336, 336, device=card.device)
    return [
        ("UNet", lambda: parts["unet"](latent, 100, caption), _CROPS),
        ("VAE encoder", lambda: parts["vae"].encode(pixels), _CROPS),
        ("VAE decoder", lambda: parts["vae"].decode(latent), _CROPS),
        ("CLIP of the ODISE term", lambda: clip(seen), _CROPS),
        ("text encoder", lambda: parts["text_encoder"](tokens), 2 * _CROPS),
    ]


def _encoders(card: Card) -> list[Timed]:
    found: list[Timed] = []
    for name, times in (("dinov2-base", 1), ("sam-vit-h", _ENCODES), ("cornet", 1)):
        network = ENCODERS[name].build(card.device, tiny=card.tiny)
        pixels = ENCODERS[name].input(1, card)
        found.append((name, lambda network=network, pixels=pixels: network(pixels), times))
    return found


def _decoding(card: Card) -> Callable[[], object]:
    """Three passes for one concept of eight points."""
    segmenter = sam_vit_h(card)
    image = photos()[0]
    (embedding,) = segmenter.encode([image])
    points = np.random.default_rng(0).uniform(10, 300, (8, 2)).astype(np.float32)
    prompt = PointPrompt(points, np.array([1] * 4 + [0] * 4))
    nothing = np.zeros((1, 1), np.float32)
    passes = Refinement(passes=3)
    return lambda: list(passes.run_many(segmenter, embedding, [prompt], [nothing]))


def sam_vit_h(card: Card) -> SegmentAnything:
    """Our segmenter with random weights, loaded."""
    segmenter = SegmentAnything(aspect="squash")
    network = _made(card, segmenter.weights)[""]
    side = ENCODERS["sam-vit-h"].pixels(tiny=card.tiny)
    segmenter._install(network, card.models("float32"), side, 16)
    return segmenter


def _made(card: Card, name: str) -> dict[str, Any]:
    """The networks of published weights, random, on the card."""
    with card.device:
        found = networks(name, tiny=card.tiny)
    for part, network in found.items():
        if any(each.is_meta for each in network.parameters()):
            found[part] = network.to_empty(device=card.device)
        found[part].load_state_dict(random_state(found[part], name, card.device))
    return found
