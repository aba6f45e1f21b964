"""Networks of the published size that take images, with random weights made on the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ipseg.features.dinov2 import use_reference_positions
from ipseg.weights.architectures import networks
from ipseg.weights.prompted import GROUPVIT, SAM3, SEGGPT
from ipseg.weights.tiny import random_state
from jobs.bench.gpu.card import Card
from jobs.bench.meta import META, count

Networks = Mapping[str, Any]
# For GroundingDINO: a caption of one word between its marks, and a full stop.
_CAPTION = (101, 200, 1012, 102)


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
            found = self.take(networks(self.weights, tiny=tiny)).eval().requires_grad_(False)
        if device != META:
            if any(each.is_meta for each in found.parameters()):  # SAM of its package always is
                found = found.to_empty(device=device)
            found.load_state_dict(random_state(found, self.weights, device))
        found = found.to(device)  # tables that are made on the CPU whatever the default device is
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


def _diffusion(found: Networks) -> nn.Module:
    from ipseg.features.stable_diffusion_network import DiffusionNetwork

    text = torch.zeros(1, 77, found["text_encoder"].config.hidden_size)
    return DiffusionNetwork(found["vae"], found["unet"], text, 0.9, 100, ["s5", "s4", "s3"])


def _tokens(found: Networks) -> nn.Module:
    use_reference_positions(found[""])
    return found[""]


class _Through(nn.Module):
    """A network that images do not go through by its `forward`, or not alone."""

    def __init__(self, model: Any, run: Callable[[Any, Tensor], Any]) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model
        self.run = run

    def forward(self, pixels: Tensor) -> Any:  # noqa: ANN401
        """What comes of (b, 3, s, s) depends on the network."""
        return self.run(self.model, pixels)


def _through(run: Callable[[Any, Tensor], Any]) -> Callable[[Networks], nn.Module]:
    return lambda found: _Through(found[""], run)


def _grouped(model: Any, pixels: Tensor) -> Any:  # noqa: ANN401
    """One window of GroupViT, as the method groups it."""
    vision = model.vision_model
    embedded = vision.embeddings(pixels, interpolate_pos_encoding=True)
    found = vision.encoder(embedded, output_attentions=True)
    tokens = vision.layernorm(found.last_hidden_state).flatten(0, 1)
    return model.visual_projection(tokens), found.attentions


def _detected(model: Any, pixels: Tensor) -> Any:  # noqa: ANN401
    """All of GroundingDINO for one caption."""
    words = pixels.new_tensor(_CAPTION, dtype=torch.long).expand(len(pixels), -1)
    ones = torch.ones_like(words)
    everywhere = ones.new_ones((len(pixels), *pixels.shape[2:]))
    return model(pixels, words, ones * 0, ones, pixel_mask=everywhere)


def _dinov2(size: str, side: int) -> Encoder:
    return Encoder(f"dinov2-{size}", f"facebook/dinov2-{size}", side, 56, _tokens)


def _sam(size: str, file: str) -> Encoder:
    return Encoder(
        *(f"sam-vit-{size}", file, 1024, 256, lambda found: found[""].image_encoder),
    )


def _sam2(size: str) -> Encoder:
    run = _through(lambda model, pixels: model.get_image_embeddings(pixels))
    return Encoder(f"sam2.1-hiera-{size}", f"facebook/sam2.1-hiera-{size}", 1024, 256, run)


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
        _sam("b", "sam_vit_b_01ec64.pth"),
        # The same network as the first one, with PyTorch's attention in place of its own.
        Encoder(
            *("sam-vit-h-sdpa", "facebook/sam-vit-huge", 1024, 256),
            lambda found: found[""].vision_encoder,
        ),
        _dinov2("small", 560),  # profile `ipseg-light`
        _sam2("tiny"),
        _sam2("large"),
        # INSID3 and FoRIS
        Encoder(
            *("dinov3-large", "facebook/dinov3-vitl16-pretrain-lvd1689m", 1024, 64),
            lambda found: found[""],
        ),
        # An image beside one example, through all of the network.
        Encoder("seggpt", SEGGPT, 448, 96, _through(lambda model, x: model(x, x, x))),
        # A canvas; boxes and captions come after it.
        Encoder("sam3", SAM3, 1008, 112, _through(lambda model, x: model.get_vision_features(x))),
        Encoder(
            *("grounding-dino", "IDEA-Research/grounding-dino-tiny", 800, 128),
            _through(_detected),
        ),
        # Exemplars come after them.
        Encoder("countr", "FSC147.pth", 384, 96, _through(lambda model, x: model.encode(x))),
        Encoder(
            *("dsalvanet", "checkpoint_200.pth", 512, 64),
            _through(lambda model, x: model.encode(x)),
        ),
        Encoder("groupvit", GROUPVIT, 448, 64, _through(_grouped), 2),
        Encoder("cornet", "cornet_rgb_duts_tr.pth", 320, 96, lambda found: found[""]),
    )
}
