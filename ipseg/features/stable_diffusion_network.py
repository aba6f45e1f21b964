"""The part of Stable Diffusion for features: encoder, noise, and UNet up to the last layer used.

Sources: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022);
Zhang et al., "A Tale of Two Features" (2023), whose features the released IPSeg code uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ipseg.errors import ConfigError, WeightsError
from ipseg.networks.pretrained import DAMAGED, Network, load_network, ready, unreadable

Layer: TypeAlias = Literal["s5", "s4", "s3"]

# Layer -> index of the up block, and the list of its modules, of which the second is read. Its
# output is the input of decoder layer 2, 5 and 8 of the original code, before the skip connection.
TAPS: dict[Layer, tuple[int, str]] = {
    "s5": (0, "resnets"),
    "s4": (1, "attentions"),
    "s3": (2, "attentions"),
}
_SECOND = 1

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


class DiffusionNetwork(nn.Module):
    """From images to hidden states of the UNet's decoder, for one noise, one timestep and no text.

    Parts that the layers do not need (the image decoder, the last part of the UNet, the text
    encoder) are removed.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text: Tensor,
        signal: float,
        timestep: int,
        layers: Sequence[Layer],
    ) -> None:
        """Takes the networks and removes what is not needed.

        Args:
            vae: its decoder is removed.
            unet: truncated after the last of `layers`.
            text: (1, t, c) embedding of the empty caption.
            signal: alpha_bar at the timestep: the share of the image in the power, the rest is
                noise.
            timestep: of the UNet's time embedding.
            layers: of 's5', 's4' and 's3', at least one.
        """
        super().__init__()
        any_vae: Network = vae
        any_vae.decoder = any_vae.post_quant_conv = None
        self.vae = any_vae
        self.unet = truncated(unet, layers)
        self.text = nn.Buffer(text)
        self.noise = nn.Buffer(torch.empty(0))
        self.signal = signal
        self.timestep = timestep
        self._seen: dict[str, Tensor] = {}
        self._time_term: Tensor | None = None
        for layer in layers:
            block, modules = TAPS[layer]
            tap = getattr(self.unet.up_blocks[block], modules)[_SECOND]
            tap.register_forward_hook(partial(self._record, layer))
        self.unet.time_embedding.register_forward_hook(self._add_time_term)

    @property
    def cell(self) -> int:
        """Width of the coarsest cell in pixels; the side of images must be a multiple of it."""
        return self._pixels_per_latent * 2 ** int(self.unet.num_upsamplers)

    @property
    def _pixels_per_latent(self) -> int:
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def draw_noise(self, side: int, seed: int) -> None:
        """Draws the noise for images of `side` pixels on the CPU, so that it is always the same."""
        latent = side // self._pixels_per_latent
        shape = (1, int(self.vae.config.latent_channels), latent, latent)
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn(shape, generator=generator)
        self.noise = nn.Buffer(noise.to(self.text.device))

    def forward(self, pixels: Tensor, time_term: Tensor | None = None) -> dict[str, Tensor]:
        """Hidden states of one pass.

        Args:
            pixels: (b, 3, s, s) RGB in [0, 1].
            time_term: (b, 1280) to add to the time embedding, or None.

        Returns:
            Layer -> (b, c, g, g) float32.
        """
        mean = self.vae.encode(2 * pixels - 1).latent_dist.mean
        latents = mean.float() * self.vae.config.scaling_factor
        noisy = self.signal**0.5 * latents + (1 - self.signal) ** 0.5 * self.noise
        text = self.text.expand(len(pixels), -1, -1)
        self._time_term = time_term
        try:
            self.unet(noisy, self.timestep, encoder_hidden_states=text)
            return {layer: states.float() for layer, states in self._seen.items()}
        finally:
            self._time_term = None
            self._seen.clear()

    def _record(
        self, layer: Layer, _module: object, _inputs: object, output: Tensor | tuple[Tensor]
    ) -> None:
        self._seen[layer] = output if isinstance(output, Tensor) else output[0]

    def _add_time_term(self, _module: object, _inputs: object, output: Tensor) -> Tensor:
        return output if self._time_term is None else output + self._time_term


def truncated(unet: Network, layers: Sequence[Layer]) -> Network:
    """The UNet without everything after the last of `layers`.

    A block takes skip connections from the end of a list, one for each of its modules, so the
    remaining modules get the same ones as before.
    """
    last, _ = max(TAPS[layer] for layer in layers)
    unet.up_blocks = unet.up_blocks[: last + 1]
    block = unet.up_blocks[last]
    block.resnets = block.resnets[: _SECOND + 1]
    if hasattr(block, "attentions"):
        block.attentions = block.attentions[: _SECOND + 1]
    block.upsamplers = None
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()
    return unet


def load_diffusion(location: str, timestep: int, layers: Sequence[Layer]) -> DiffusionNetwork:
    """Stable Diffusion 1.x or 2.x from a folder in the layout of diffusers, on the CPU.

    Hidden states do not depend on what the model predicts (noise or velocity).

    Args:
        location: folder with vae, unet, text_encoder, tokenizer and scheduler.
        timestep: noise level, 0 to 999.
        layers: of 's5', 's4' and 's3'.

    Raises:
        WeightsError: a part is missing, damaged, or not that of Stable Diffusion 1.x or 2.x.
        ConfigError: the timestep does not exist.
    """
    folder = Path(location)
    for part in _PARTS:
        if not (folder / part).is_dir():
            raise WeightsError(
                f"no folder '{part}' in {folder}; Stable Diffusion comes in the layout of "
                f"diffusers ({', '.join(_PARTS)}): get it by `ipseg weights fetch PROFILE`"
            )
    unet = _load(UNet2DConditionModel, folder, "unet")
    _check_taps(unet, folder / "unet", layers)
    return DiffusionNetwork(
        _load(AutoencoderKL, folder, "vae"),
        unet,
        empty_caption(folder),
        signal_share(folder, timestep),
        timestep,
        layers,
    )


def signal_share(folder: Path, timestep: int) -> float:
    """alpha_bar at a timestep of the model's own noise schedule.

    Accumulated in double precision, as in the original code; the float32 table of diffusers is off
    by 3e-7.
    """
    scheduler_class: Network = DDPMScheduler
    try:
        scheduler = scheduler_class.from_pretrained(
            str(folder), subfolder="scheduler", local_files_only=True
        )
    except DAMAGED as error:
        raise unreadable(folder / "scheduler", error) from error
    steps = int(scheduler.config.num_train_timesteps)
    if not 0 <= timestep < steps:
        raise ConfigError(f"timestep is {timestep}; the model has 0 to {steps - 1}")
    kept = torch.cumprod(1 - scheduler.betas.double(), dim=0)
    return float(kept[timestep])


@torch.inference_mode()
def empty_caption(folder: Path) -> Tensor:
    """(1, t, c) last hidden states of the empty caption, padded to the encoder's length t.

    On the CPU in float32: it is computed once, and the encoder is not kept.
    """
    encoder = load_network(
        str(folder / "text_encoder"),
        {"clip_text_model": CLIPTextModel},
        ignored=("text_model.embeddings.position_ids", "embeddings.position_ids"),
    )
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    except DAMAGED as error:
        raise unreadable(folder / "tokenizer", error) from error
    length = int(encoder.config.max_position_embeddings)
    tokens = tokenizer([""], padding="max_length", max_length=length, return_tensors="pt")
    states: Tensor = encoder(tokens.input_ids).last_hidden_state
    return states.clone()


def _load(network_class: Network, folder: Path, part: str) -> Network:
    load = partial(
        network_class.from_pretrained,
        str(folder),
        subfolder=part,
        torch_dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,
        output_loading_info=True,
    )
    verbosity = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        return ready(folder / part, load)
    finally:
        diffusers_logging.set_verbosity(verbosity)


def _check_taps(unet: Network, folder: Path, layers: Sequence[Layer]) -> None:
    for layer in layers:
        block, modules = TAPS[layer]
        blocks = unet.up_blocks
        if block >= len(blocks) or len(getattr(blocks[block], modules, ())) <= _SECOND:
            raise WeightsError(
                f"{folder} has no up_blocks[{block}].{modules}[{_SECOND}], where layer '{layer}' "
                f"is read; take Stable Diffusion 1.x or 2.x"
            )
