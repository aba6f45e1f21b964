"""Encoders of the published size, alone: at every batch and in every precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ipseg.features.dinov2 import use_reference_positions
from ipseg.weights.architectures import FOLDERS, Architecture, networks
from ipseg.weights.tiny import random_state
from jobs.bench.gpu.card import Card, Point
from jobs.bench.meta import META, count

Networks = Mapping[str, Any]
_BATCHES = (1, 2, 4, 8, 16, 32)
_GIANT = "facebook/dinov2-giant"


@dataclass(frozen=True)
class Encoder:
    """One network that takes square images.

    Attributes:
        name: in the figures.
        weights: their published name.
        side: of its input, pixels.
        tiny_side: of the input of the tiny network.
        take: the networks in the weights -> what takes pixels.
        per_image: inputs that one image makes: windows.
    """

    name: str
    weights: str
    side: int
    tiny_side: int
    take: Callable[[Networks], nn.Module]
    per_image: int = 1

    def build(self, device: torch.device, *, tiny: bool) -> nn.Module:
        """The network in float32, with random weights made on the device (none on 'meta')."""
        with device:
            found = self.take(_networks(self.weights, tiny=tiny)).eval().requires_grad_(False)
        if device != META:
            if any(each.is_meta for each in found.parameters()):  # SAM of its package always is
                found = found.to_empty(device=device)
            found.load_state_dict(random_state(found, self.weights, device))
        if hasattr(found, "draw_noise"):
            found.draw_noise(self.pixels(tiny=tiny), seed=0)
        return found

    def pixels(self, *, tiny: bool) -> int:
        """Side of the input."""
        return self.tiny_side if tiny else self.side

    def operations(self, *, tiny: bool) -> int:
        """Of one input, counted as `ipseg bench --flops` counts."""
        network, side = self.build(META, tiny=tiny), self.pixels(tiny=tiny)
        return count(lambda: network(torch.empty(1, 3, side, side)))

    def input(self, batch: int, card: Card) -> Tensor:
        """(batch, 3, side, side) float32 on the card, standing in for normalised pixels."""
        side = self.pixels(tiny=card.tiny)
        return torch.randn(batch, 3, side, side, device=card.device)


def _networks(name: str, *, tiny: bool) -> Networks:
    if name != _GIANT:
        return networks(name, tiny=tiny)
    small = FOLDERS["facebook/dinov2-large"][""]  # which no profile uses, but evaluations of others
    sizes = {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24}
    giant = Architecture(
        *(small.network, small.config),
        small.real | sizes | {"use_swiglu_ffn": True},
        small.tiny | {"use_swiglu_ffn": True},
    )
    return {"": giant.build(tiny=tiny)}


def _diffusion(found: Networks) -> nn.Module:
    from ipseg.features.stable_diffusion_network import DiffusionNetwork

    text = torch.zeros(1, 77, found["text_encoder"].config.hidden_size)
    return DiffusionNetwork(found["vae"], found["unet"], text, 0.9, 100, ["s5", "s4", "s3"])


def _tokens(found: Networks) -> nn.Module:
    use_reference_positions(found[""])
    return found[""]


class _Sam2(nn.Module):
    """SAM 2's image encoder, which transformers has as a method."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """From (b, 3, s, s) to three maps."""
        return self.model.get_image_embeddings(pixels)


def _dinov2(size: str, side: int) -> Encoder:
    return Encoder(f"dinov2-{size}", f"facebook/dinov2-{size}", side, 56, _tokens)


def _sam(size: str, file: str) -> Encoder:
    return Encoder(
        *(f"sam-vit-{size}", file, 1024, 256, lambda found: found[""].image_encoder),
    )


# The first three are those of profile `ipseg`.
ENCODERS = {
    each.name: each
    for each in (
        _sam("h", "sam_vit_h_4b8939.pth"),
        Encoder(
            *("stable-diffusion", "stable-diffusion-v1-5/stable-diffusion-v1-5", 512, 64),
            *(_diffusion, 4),
        ),
        _dinov2("base", 840),
        _dinov2("large", 896),  # SINE's canvas
        _dinov2("giant", 518),
        _sam("l", "sam_vit_l_0b3195.pth"),
        _sam("b", "sam_vit_b_01ec64.pth"),
        # The same network as the first one, with PyTorch's attention in place of its own.
        Encoder(
            *("sam-vit-h-sdpa", "facebook/sam-vit-huge", 1024, 256),
            lambda found: found[""].vision_encoder,
        ),
        _dinov2("small", 560),  # profile `ipseg-light`
        Encoder(
            *("sam2.1-hiera-tiny", "facebook/sam2.1-hiera-tiny", 1024, 256),
            lambda found: _Sam2(found[""]),
        ),
        Encoder("cornet", "cornet_rgb_duts_tr.pth", 320, 96, lambda found: found[""]),
    )
}


def sweep(card: Card, encoder: Encoder) -> dict[str, Any]:
    """Batch 1, 2, 4 ... in the usual precision; the others at batch 1 and at the best one.

    Returns:
        `operations` of one input, inputs `per_image`, and `points`: each with its `precision`,
        `batch`, as in `Card.fitting`, `images_per_second` and as in `Card.share`.
    """
    network = encoder.build(card.device, tiny=card.tiny)
    operations = encoder.operations(tiny=card.tiny)
    points: list[Point] = []

    def add(precision: str, batch: int) -> Point:
        with card.computing(precision):
            found = card.fitting(lambda n: network(encoder.input(n, card)), batch)
        point = {"precision": precision, **found}
        if found["batch"]:
            inputs = found["batch"] / found["seconds"]
            point["images_per_second"] = inputs / encoder.per_image
            point |= card.share(operations, 1 / inputs, precision)
        points.append(point)
        return point

    usual, *others = card.precisions
    for batch in _BATCHES[:2] if card.tiny else _BATCHES:
        if card.late or add(usual, batch)["batch"] < batch:
            break
    measured = [each for each in points if each["batch"]]
    best = max(measured, key=lambda each: each["images_per_second"], default={"batch": 1})["batch"]
    for precision in others:
        for batch in dict.fromkeys((1, best)):
            if not card.late:
                add(precision, batch)
    return {
        "weights": encoder.weights,
        "side": encoder.pixels(tiny=card.tiny),
        "per_image": encoder.per_image,
        "operations": operations,
        "points": points,
        "cut_short": card.late,
    }
