"""Architectures of published weights, and tiny versions of the same networks.

The hyperparameters are those of the published config.json. They are needed without weights: to
count operations, and to make weights of the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    Sam2Config,
    Sam2Model,
    SamHQConfig,
    SamHQModel,
    SamModel,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

from ipseg.methods.sine.architecture import RELEASED, Sizes
from ipseg.saliency.cornet_network import CorNet
from ipseg.segmenters.sam_architecture import SamArchitecture, recognise
from ipseg.weights.counters import COUNTER_FILES, counter
from ipseg.weights.grounding import TINY_GROUNDING
from ipseg.weights.prompted import PROMPTED
from ipseg.weights.sam2_config import sam2_sizes, tiny_sam2
from ipseg.weights.sam_config import transformers_config

Numbers = Mapping[str, Any]
# The libraries build their classes at run time, so there are no useful types.
Network: TypeAlias = Any


@dataclass(frozen=True)
class Architecture:
    """One network, in its published and in a tiny size.

    Attributes:
        network: its class, or what builds it.
        config: class of its configuration; None if the network takes keyword arguments.
        real: hyperparameters of the published network that differ from the defaults.
        tiny: those that differ in the tiny one; sizes that depend on the input are kept.
    """

    network: Any
    config: Any
    real: Numbers
    tiny: Numbers

    def build(self, *, tiny: bool = False) -> Network:
        """The network with its initial weights."""
        numbers = {**self.real, **(self.tiny if tiny else {})}
        if self.config is None:
            return self.network(**numbers)
        return self.network(self.config(**numbers))


def _of_diffusers(name: str) -> Callable[..., Network]:
    """Builds a class of diffusers, which is imported then: the other networks do without it."""

    def build(**numbers: object) -> Network:
        return getattr(import_module("diffusers"), name)(**numbers)

    return build


def _vit(width: int, depth: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
    }


def _dinov2(width: int, heads: int, registers: int = 0, depth: int = 12) -> Architecture:
    real = _vit(width, depth, heads) | {"image_size": 518, "patch_size": 14}
    tiny = _vit(32, 2, 2)
    for numbers in (real, tiny):
        del numbers["intermediate_size"]  # it has a ratio instead
    if registers:
        real |= {"num_register_tokens": registers}
        return Architecture(Dinov2WithRegistersModel, Dinov2WithRegistersConfig, real, tiny)
    return Architecture(Dinov2Model, Dinov2Config, real, tiny)


def _dinov3(width: int, depth: int, heads: int) -> Architecture:
    real = _vit(width, depth, heads) | {"num_register_tokens": 4}
    return Architecture(DINOv3ViTModel, DINOv3ViTConfig, real, _vit(32, 2, 2))


def _clip(
    vit: dict[str, int], side: int, patch: int, text_width: int, text_heads: int
) -> Architecture:
    """Both towers and the projections, as on the hub."""
    vision = vit | {"image_size": side, "patch_size": patch}
    text = {"vocab_size": 49408, "max_position_embeddings": 77}
    small = {"vocab_size": 16, "bos_token_id": 14, "eos_token_id": 15}

    def towers(seen: dict[str, int], read: dict[str, int], width: int) -> Numbers:
        shared = {"projection_dim": width}
        return {"vision_config": seen | shared, "text_config": text | read | shared, **shared}

    real = towers(vision, _vit(text_width, 12, text_heads), text_width)
    tiny = towers(vision | _vit(32, 2, 2), _vit(32, 1, 2) | small, 32)
    return Architecture(CLIPModel, CLIPConfig, real, tiny)


_SAM_SIDE = 256


def _sam2(
    width: int, heads: int, blocks: Sequence[int], attend_globally: Sequence[int], window: int
) -> Architecture:
    real = sam2_sizes(width, heads, blocks, attend_globally, window)
    tiny = tiny_sam2(blocks, attend_globally, _SAM_SIDE)
    return Architecture(Sam2Model, Sam2Config, real, tiny)


# Hub id -> folder of each network in it -> the network.
FOLDERS: dict[str, dict[str, Architecture]] = {
    "facebook/dinov2-small": {"": _dinov2(384, 6)},
    "facebook/dinov2-base": {"": _dinov2(768, 12)},
    "facebook/dinov2-large": {"": _dinov2(1024, 16, depth=24)},
    "facebook/dinov2-with-registers-base": {"": _dinov2(768, 12, registers=4)},
    "facebook/dinov3-vits16-pretrain-lvd1689m": {"": _dinov3(384, 12, 6)},
    "facebook/dinov3-vitb16-pretrain-lvd1689m": {"": _dinov3(768, 12, 12)},
    "facebook/dinov3-vitl16-pretrain-lvd1689m": {"": _dinov3(1024, 24, 16)},
    "openai/clip-vit-base-patch16": {"": _clip(_vit(768, 12, 12), 224, 16, 512, 8)},
    "openai/clip-vit-large-patch14-336": {"": _clip(_vit(1024, 24, 16), 336, 14, 768, 12)},
    "facebook/vit-mae-base": {
        "": Architecture(
            ViTMAEForPreTraining,
            ViTMAEConfig,
            _vit(768, 12, 12),
            _vit(32, 2, 2)
            | {
                "decoder_hidden_size": 16,
                "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2,
                "decoder_intermediate_size": 32,
            },
        )
    },
    "stable-diffusion-v1-5/stable-diffusion-v1-5": {
        "unet": Architecture(
            _of_diffusers("UNet2DConditionModel"),
            None,
            {"sample_size": 64, "cross_attention_dim": 768},  # 8 heads for any number of channels
            {
                "block_out_channels": (16, 32, 32, 32),
                "cross_attention_dim": 32,
                "attention_head_dim": 2,
                "norm_num_groups": 8,
            },
        ),
        "vae": Architecture(
            _of_diffusers("AutoencoderKL"),
            None,
            {
                "block_out_channels": (128, 256, 512, 512),
                "down_block_types": ("DownEncoderBlock2D",) * 4,
                "up_block_types": ("UpDecoderBlock2D",) * 4,
                "layers_per_block": 2,
                "latent_channels": 4,
                "sample_size": 512,
            },
            {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4, "layers_per_block": 1},
        ),
        "text_encoder": Architecture(
            CLIPTextModel,
            CLIPTextConfig,
            _vit(768, 12, 12) | {"vocab_size": 49408, "max_position_embeddings": 77},
            _vit(32, 2, 2) | {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513},
        ),
    },
    "facebook/sam2.1-hiera-tiny": {"": _sam2(96, 1, (1, 2, 7, 2), (5, 7, 9), 14)},
    "facebook/sam2.1-hiera-small": {"": _sam2(96, 1, (1, 2, 11, 2), (7, 10, 13), 14)},
    "facebook/sam2.1-hiera-large": {"": _sam2(144, 2, (2, 6, 36, 4), (23, 33, 43), 16)},
    "facebook/sam2-hiera-large": {"": _sam2(144, 2, (2, 6, 36, 4), (23, 33, 43), 16)},
    "IDEA-Research/grounding-dino-tiny": {
        "": Architecture(
            GroundingDinoForObjectDetection,
            GroundingDinoConfig,
            {},  # defaults of the class
            TINY_GROUNDING,
        )
    },
    **{name: {"": Architecture(*each)} for name, each in PROMPTED.items()},
}

# File of the package segment_anything -> its name of the network.
SAM_FILES = {
    "sam_vit_b_01ec64.pth": "vit_b",
    "sam_vit_l_0b3195.pth": "vit_l",
    "sam_vit_h_4b8939.pth": "vit_h",
}
CORNET_FILE = "cornet_rgb_duts_tr.pth"
SINE_FILE = "sine_vitl14.pth"  # without the DINOv2 that it is used with
_SINE_TINY = Sizes(encoder=32, width=32, hidden=64, between=16, queries=20)
# The same networks in transformers: hub id -> file.
SAM_FOLDERS = {
    "facebook/sam-vit-base": "sam_vit_b_01ec64.pth",
    "facebook/sam-vit-large": "sam_vit_l_0b3195.pth",
    "facebook/sam-vit-huge": "sam_vit_h_4b8939.pth",
    "syscv-community/sam-hq-vit-base": "sam_vit_b_01ec64.pth",  # with an additional output
}


@cache
def sam(file: str, *, tiny: bool = False) -> SamArchitecture:
    """The architecture of a published SAM, from its package."""
    from segment_anything import sam_model_registry  # type: ignore[import-untyped]

    with torch.device("meta"):
        state = sam_model_registry[SAM_FILES[file]]().state_dict()
    real = recognise(state, file)
    if not tiny:
        return real
    # Windows of 14 patches do not divide the 16 of the image, like the real 64.
    return replace(
        real,
        side=_SAM_SIDE,
        width=32,
        depth=2,
        heads=2,
        mlp=64,
        global_blocks=(1,),
        embed=64,
        decoder_mlp=64,
        iou_hidden=32,
    )


def _sam_hq(config: Network) -> SamHQModel:
    decoder = config.mask_decoder_config.to_dict() | {"vit_dim": config.vision_config.hidden_size}
    parts: dict[str, Any] = {
        "vision_config": config.vision_config.to_dict(),
        "prompt_encoder_config": config.prompt_encoder_config.to_dict(),
        "mask_decoder_config": decoder,
    }
    for part in parts.values():
        part.pop("model_type")  # of SAM
    return SamHQModel(SamHQConfig(**parts))


def networks(name: str, *, tiny: bool = False) -> dict[str, Network]:
    """All networks in the weights `name`: folder in it ('' for itself) -> network.

    On the current default device (`with torch.device("meta")` costs no memory). A SAM from the
    package segment_anything is on 'meta' in any case.

    Raises:
        KeyError: there are no published weights of that name.
    """
    if name == CORNET_FILE:
        found: dict[str, Network] = {"": CorNet()}
    elif name in COUNTER_FILES:
        found = {"": counter(name, tiny=tiny)}
    elif name == SINE_FILE:
        found = {"": (_SINE_TINY if tiny else RELEASED).build()}
    elif name in SAM_FILES:
        found = {"": sam(name, tiny=tiny).build()}
    elif name in SAM_FOLDERS:
        config = transformers_config(sam(SAM_FOLDERS[name], tiny=tiny))
        found = {"": _sam_hq(config) if "sam-hq" in name else SamModel(config)}
    else:
        found = {folder: each.build(tiny=tiny) for folder, each in FOLDERS[name].items()}
    return {folder: network.eval() for folder, network in found.items()}
