"""Tiny Stable Diffusion models of the real classes: one pixel per latent, 8 per s5 cell.

A canvas of 24 and windows of 16 replace 960 and 512: four windows that overlap by one s5 cell.
"""

import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.networks.models import Models

SIZE, CROP, TIMESTEP = 24, 16, 100
CHANNELS = {"s5": 24, "s4": 24, "s3": 16}
CELLS = {"s5": 3, "s4": 6, "s3": 12}
TIME = 32  # channels of the time embedding: four times those of the first block


def write_checkpoint(folder):
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=CROP,
        block_out_channels=(8, 16, 24, 24),
        layers_per_block=2,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).save_pretrained(folder / "vae")
    text = CLIPTextConfig(
        vocab_size=4,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=2,
        eos_token_id=3,
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    vocabulary = {"a</w>": 0, "b</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=8)
    tokenizer.save_pretrained(folder / "tokenizer")
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True
    ).save_pretrained(folder / "scheduler")


def write_clip(folder):
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=20,
        patch_size=4,
        projection_dim=6,
        initializer_range=0.5,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)


def odise_file(folder, alpha):
    """A checkpoint like ODISE's, with the four tensors and others."""
    generator = torch.Generator().manual_seed(2)
    prefix = "backbone.feature_extractor."
    tensors = {
        f"{prefix}alpha_cond": torch.zeros(3),
        f"{prefix}alpha_cond_time_embed": alpha,
        f"{prefix}time_embed_project.linear.weight": torch.randn(TIME, 6, generator=generator),
        f"{prefix}time_embed_project.linear.bias": torch.randn(TIME, generator=generator),
        f"{prefix}time_embed_project.positional_embedding": torch.randn(
            1, 1, TIME, generator=generator
        ),
    }
    torch.save({"model": tensors, "iteration": 1}, folder / "odise.pth")
    return folder / "odise.pth", {name.removeprefix(prefix): t for name, t in tensors.items()}


def ready(folder, **settings):
    extractor = StableDiffusion(weights=str(folder), **{"size": SIZE, "crop": CROP} | settings)
    extractor.setup(Models(device="cpu"))
    return extractor


def scaled_linear(timestep):
    """alpha_bar by the formula of the original code, in double precision."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1 - betas)[timestep]


@torch.inference_mode()
def entering_states(folder, pixels, timestep=TIMESTEP, time_term=None):
    """Inputs of the third module of each up block before the skip connection, by whole models."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    ids = torch.tensor([[2] + [3] * 7])  # start, end, padding
    text = text_encoder(ids).last_hidden_state.expand(len(pixels), -1, -1)
    latents = vae.eval().encode(pixels * 2 - 1).latent_dist.mode() * 0.18215
    noise = torch.randn(1, 4, *latents.shape[2:], generator=torch.Generator().manual_seed(42))
    share = float(scaled_linear(timestep))
    noisy = share**0.5 * latents + (1 - share) ** 0.5 * noise
    seen = {}
    for i, (layer, channels) in enumerate(CHANNELS.items()):

        def record(module, inputs, layer=layer, channels=channels):
            seen[layer] = inputs[0][:, :channels]

        unet.up_blocks[i].resnets[2].register_forward_pre_hook(record)
    if time_term is not None:
        unet.time_embedding.register_forward_hook(lambda module, inputs, out: out + time_term)
    unet.eval()(noisy, timestep, encoder_hidden_states=text)
    return seen


def windows(canvas):
    """Four windows of a canvas as RGB in [0, 1], in reading order."""
    pixels = torch.from_numpy(canvas).permute(2, 0, 1) / 255
    return torch.stack([pixels[:, y : y + CROP, x : x + CROP] for y in (0, 8) for x in (0, 8)])


def averaged(states):
    """Four (c, g, g) window grids to one, cell by cell."""
    full = {}
    for layer, (a, b, c, d) in states.items():
        g, n = a.shape[-1], CELLS[layer]
        total, count = np.zeros((len(a), n, n)), np.zeros((n, n))
        for grid, row, column in ((a, 0, 0), (b, 0, n - g), (c, n - g, 0), (d, n - g, n - g)):
            for i in range(g):
                for j in range(g):
                    total[:, row + i, column + j] += grid[:, i, j].numpy()
                    count[row + i, column + j] += 1
        full[layer] = torch.from_numpy(total / count).float()
    return full


def assert_near(found, expected):
    assert found.keys() == expected.keys()
    for layer, states in expected.items():
        assert states.std() > 0.05  # comparing near-constants would prove nothing
        torch.testing.assert_close(found[layer], states, atol=1e-5, rtol=0)
