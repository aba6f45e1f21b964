"""ODISE's conditioning of Stable Diffusion on the image itself, through the time embedding.

Source: Xu et al., "Open-Vocabulary Panoptic Segmentation with Text-to-Image Diffusion Models"
(CVPR 2023). The released IPSeg code uses an empty caption, so that only this one of ODISE's two
learned terms is left.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection

from ipseg.errors import WeightsError
from ipseg.features.vits import Clip
from ipseg.networks.pixels import CLIP_MEAN, CLIP_STD, normalised
from ipseg.networks.pretrained import DAMAGED, Network, load_network, unreadable

ODISE_PREFIX = "backbone.feature_extractor."
_NAMES = (
    "alpha_cond_time_embed",
    "time_embed_project.linear.weight",
    "time_embed_project.linear.bias",
    "time_embed_project.positional_embedding",
)


class TimeConditioning(nn.Module):
    """From images to a term that is added to the UNet's time embedding."""

    def __init__(self, clip: Network, tensors: dict[str, Tensor]) -> None:
        """Combines CLIP's image encoder with the projection.

        Args:
            clip: CLIPVisionModelWithProjection, p-dimensional.
            tensors: under ODISE's names: alpha (c,), weight (c, p), bias (c,) and position (1, 1,
                c).
        """
        super().__init__()
        self.clip = clip
        alpha, weight, bias, position = (tensors[name].float() for name in _NAMES)
        self.strength = nn.Buffer(torch.tanh(alpha))
        self.weight = nn.Buffer(weight)
        self.bias = nn.Buffer(bias + position[0, 0])

    def forward(self, pixels: Tensor) -> Tensor:
        """(b, 3, s, s) RGB in [0, 1] -> (b, c) float32."""
        side = int(self.clip.config.image_size)
        # Without antialiasing, as in the released code's version of torchvision.
        small = functional.interpolate(
            pixels, (side, side), mode="bicubic", align_corners=False, antialias=False
        )
        # The embedding itself is not normalised.
        embedding = self.clip(normalised(small, CLIP_MEAN, CLIP_STD)).image_embeds
        term: Tensor = self.strength * functional.linear(embedding, self.weight, self.bias)
        return term.float()


def odise_shapes(channels: int, projection: int) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of ODISE, for a UNet with these channels and CLIP's projection."""
    shapes = ((channels,), (channels, projection), (channels,), (1, 1, channels))
    return dict(zip(_NAMES, shapes, strict=True))


def load_time_conditioning(checkpoint: str, clip: str, channels: int) -> TimeConditioning:
    """Reads ODISE's four tensors and CLIP, on the CPU.

    Args:
        checkpoint: ODISE's file, such as odise_label_coco_50e-b67d2efc.pth.
        clip: folder of the CLIP model.
        channels: of the UNet's time embedding.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    path = Path(checkpoint)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise unreadable(path, error) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # training checkpoints contain more than the model
    missing = [name for name in _NAMES if f"{ODISE_PREFIX}{name}" not in state]
    if missing:
        raise WeightsError(
            f"{path} is not an ODISE checkpoint: {len(missing)} of {len(_NAMES)} tensors missing "
            f"({ODISE_PREFIX}{missing[0]}, ...); take odise_label_coco_50e-b67d2efc.pth, or set "
            f"features.stable_diffusion.odise to null"
        )
    tensors = {name: state[f"{ODISE_PREFIX}{name}"] for name in _NAMES}
    network = load_network(
        clip,
        dict.fromkeys(Clip.classes, CLIPVisionModelWithProjection),
        ignored=tuple(name for name in Clip.ignored if name != "visual_projection"),
    )
    for name, shape in odise_shapes(channels, int(network.config.projection_dim)).items():
        if tuple(tensors[name].shape) != shape:
            raise WeightsError(
                f"{path}: {ODISE_PREFIX}{name} has shape {tuple(tensors[name].shape)}, expected "
                f"{shape} for this Stable Diffusion and the CLIP model in {clip}"
            )
    return TimeConditioning(network, tensors)
