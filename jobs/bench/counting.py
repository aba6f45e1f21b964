"""Operations of the networks that a profile runs, counted at their published sizes.

Every network is built on PyTorch's device 'meta': its code runs, without numbers and without
memory. An operation is one multiplication or one addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, CLIPVisionModelWithProjection

from ipseg.counters.countr import CounTR
from ipseg.counters.dsalvanet import DSALVANet
from ipseg.errors import ConfigError
from ipseg.features.odise import TimeConditioning
from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.features.stable_diffusion_network import DiffusionNetwork
from ipseg.features.vit import VitExtractor
from ipseg.features.windows import window_starts
from ipseg.networks.models import Models
from ipseg.networks.shared import WithoutNetwork
from ipseg.saliency.cornet import CorNetSaliency
from ipseg.saliency.cornet_network import INPUT_SIDE
from ipseg.saliency.tokencut import TokenCut
from ipseg.segmenters.promptable import Features, PromptableNetwork, PromptBatch
from ipseg.weights.architectures import (
    CORNET_FILE,
    FOLDERS,
    SAM_FILES,
    SAM_FOLDERS,
    SINE_FILE,
    networks,
)
from ipseg.weights.counters import COUNTER_FILES
from jobs.bench.meta import META, count

CONDITIONING = "CLIP of the ODISE term"  # key in what `operations` gives for Stable Diffusion
_CAPTION = 77  # tokens


@dataclass(frozen=True)
class Counted:
    """What a network or another part does for one image.

    Attributes:
        operations: name of a network -> operations.
        concept: name of what is done for each concept in the image -> operations.
        layers: (c, n) of each layer of features, that is then compared with each concept.
        left_out: names of networks that cannot be counted.
        notes: what is too little, or too seldom done, to be counted with the others.
    """

    operations: dict[str, int]
    concept: dict[str, int] = field(default_factory=dict)
    layers: tuple[tuple[int, int], ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@singledispatch
def operations(part: object) -> Counted:
    """Counts one image; nothing for classical parts, which have no network.

    Raises:
        ConfigError: the size of its weights is not known.
    """
    classical = part is None or isinstance(part, WithoutNetwork)
    return Counted({}, left_out=() if classical else (type(part).__name__,))


@operations.register
def _(part: CorNetSaliency) -> Counted:
    network = published(part.weights)[""]
    return Counted({"cornet": count(lambda: network(torch.empty(1, 3, INPUT_SIDE, INPUT_SIDE)))})


@operations.register
def _(part: TokenCut) -> Counted:
    """Of a square image, which has the most patches."""
    network = published(part.weights)[""]
    side = part.size // network.config.patch_size * network.config.patch_size
    return Counted({"tokencut": count(lambda: network(torch.empty(1, 3, side, side)))})


@operations.register
def _(part: VitExtractor) -> Counted:
    whole = published(part.weights)[""]
    config = whole.config
    with META:
        # The class that is really run: of CLIP one tower, of MAE the encoder.
        network: Any = part.classes[config.model_type](getattr(config, "vision_config", config))
    network.eval()
    patch = network.config.patch_size
    side = part.size // patch * patch
    part.adapt(network, side // patch)
    done = count(lambda: part.tokens(network, torch.empty(1, 3, side, side)))
    layer = (int(network.config.hidden_size), side // patch)
    return Counted({type(part).__name__.lower(): done}, (layer,))


@operations.register
def _(part: StableDiffusion) -> Counted:
    """UNet, encoder of the VAE, and CLIP if ODISE's term is set: all windows of one image."""
    network = diffusion(part)
    pixels = windows(part)
    side = pixels.shape[-1]
    network.draw_noise(side, part.seed)
    states: dict[str, torch.Tensor] = {}
    encoder = count(lambda: network.vae.encode(pixels))
    both = count(lambda: states.update(network(pixels)))
    found = {"UNet": both - encoder, "VAE encoder": encoder}
    if part.odise is not None:
        found[CONDITIONING] = conditioning(part, pixels)
    layers = (states[layer].shape for layer in part.layer_weights)
    return Counted(found, tuple((c, part.size * n // side) for _, c, n, _ in layers))


@operations.register
def _(part: CounTR) -> Counted:
    """The encoder on a square image, which is one window."""
    network = published(part.weights)[""]
    side = 16 * network.grid
    done = count(lambda: network.encode(torch.empty(1, 3, side, side)))
    return Counted({"countr": done}, left_out=("CounTR's decoder",))


@operations.register
def _(part: DSALVANet) -> Counted:
    network = published(part.weights)[""]
    done = count(lambda: network.encode(torch.empty(1, 3, part.side, part.side)))
    return Counted({"dsalvanet": done}, left_out=("DSALVANet's decoder",))


def windows(part: StableDiffusion) -> torch.Tensor:
    """All windows of one image, (b, 3, s, s) on 'meta'."""
    side = part.crop if part.window == "sliding" else part.size
    return torch.empty(len(window_starts(part.size, side)), 3, side, side, device=META)


def diffusion(part: StableDiffusion) -> DiffusionNetwork:
    """The networks of Stable Diffusion, cut down to what the layers need."""
    parts = published(part.weights)
    text = torch.empty(1, _CAPTION, parts["text_encoder"].config.hidden_size, device=META)
    layers: list[Any] = list(part.layer_weights)
    if not layers:
        raise ConfigError("features.stable_diffusion.layers: at least one share must be > 0")
    return DiffusionNetwork(parts["vae"], parts["unet"], text, 0.5, part.timestep, layers)


def conditioning(part: StableDiffusion, pixels: torch.Tensor) -> int:
    """Operations of ODISE's term for (b, 3, s, s) windows, whether it is set or not."""
    channels = published(part.weights)["unet"].time_embedding.linear_2.out_features
    config = published(part.odise_clip)[""].config.vision_config
    with META:
        clip: Any = CLIPVisionModelWithProjection(config)
        clip.eval()
        tensors = {
            "alpha_cond_time_embed": torch.empty(channels),
            "time_embed_project.linear.weight": torch.empty(channels, config.projection_dim),
            "time_embed_project.linear.bias": torch.empty(channels),
            "time_embed_project.positional_embedding": torch.empty(1, 1, channels),
        }
        term = TimeConditioning(clip, tensors)
    return count(lambda: term(pixels))


def encoding(segmenter: PromptableNetwork) -> tuple[int, Features]:
    """Operations of encoding one image, and what comes out (on 'meta')."""
    side = segmenter._side
    pixels = torch.empty(1, 3, side, side, device=META)
    found: list[Features] = []
    operations = count(lambda: found.extend(segmenter._encode(pixels)))
    return operations, found[0]


def decoding(
    segmenter: PromptableNetwork, features: Features, points: int, *, box: bool, mask: bool
) -> int:
    """Operations of decoding one prompt of `points` points once."""
    side = segmenter._mask_side
    prompt = PromptBatch(
        coords=torch.empty(1, points, 2, device=META),
        labels=torch.empty(1, points, dtype=torch.int64, device=META),
        boxes=torch.empty(1, 4, device=META) if box else None,
        logits=torch.empty(1, side, side, device=META) if mask else None,
        multimask=True,
    )
    return count(lambda: segmenter._decode(features, prompt))


def adopt(segmenter: PromptableNetwork, name: str) -> None:
    """Puts a network of published size on 'meta' into a segmenter, in place of `setup`."""
    network = published(name)[""]
    encoder = network.prompt_encoder
    if name in SAM_FILES:
        side = encoder.input_image_size[0]
        patch = side // encoder.image_embedding_size[0]
    else:
        side = network.config.prompt_encoder_config.image_size
        patch = network.config.prompt_encoder_config.patch_size
    segmenter._install(network, Models(device="meta"), side, patch)


def published(name: str) -> dict[str, Any]:
    """The networks of published weights, or of a folder of transformers here, on 'meta'.

    Raises:
        ConfigError: their sizes are not known.
    """
    if (Path(name) / "config.json").is_file():
        config = AutoConfig.from_pretrained(name, local_files_only=True)
        model_class: Any = AutoModel
        with META:
            return {"": model_class.from_config(config).requires_grad_(False)}
    try:
        with META:
            return {part: each.requires_grad_(False) for part, each in networks(name).items()}
    except KeyError:
        known = [*FOLDERS, *SAM_FOLDERS, *SAM_FILES, CORNET_FILE, SINE_FILE, *COUNTER_FILES]
        raise ConfigError(
            f"the sizes of {name} are not known, so its operations cannot be counted; "
            f"known: {', '.join(known)}"
        ) from None
