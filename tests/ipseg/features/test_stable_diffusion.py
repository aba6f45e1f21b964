"""Tiny Stable Diffusion models of the real classes: one pixel for each latent, 8 for each s5 cell.

A canvas of 24 and windows of 16 stand for 960 and 512: four windows that overlap by one s5 cell.
"""

import pickle
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from ipseg.errors import ConfigError, WeightsError
from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.features.stable_diffusion_network import TAPS, load_diffusion, signal_share
from ipseg.networks.models import Models
from ipseg.vision.letterbox import letterbox

SIZE, CROP, TIMESTEP = 24, 16, 100
CHANNELS = {"s5": 24, "s4": 24, "s3": 16}
CELLS = {"s5": 3, "s4": 6, "s3": 12}
TIME = 32  # channels of the time embedding: four times those of the first block


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stable-diffusion")
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
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
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
    return folder


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (33, 21, 3))]


def odise_file(folder, alpha):
    """A checkpoint as ODISE writes it, the four tensors among others."""
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
    """alpha_bar by the formula of the original code, in numpy and double precision."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1 - betas)[timestep]


@torch.inference_mode()
def entering_states(folder, pixels, timestep=TIMESTEP, time_term=None):
    """What enters the third module of each up block, before the skip connection: whole models."""
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
        assert states.std() > 0.05  # a comparison of near-constants would prove nothing
        torch.testing.assert_close(found[layer], states, atol=1e-5, rtol=0)


@pytest.mark.parametrize("timestep", [100, 50])
def test_sliding_windows_equal_whole_models(checkpoint, images, timestep):
    extractor = ready(checkpoint, timestep=timestep)
    for image, found in zip(images, extractor.features(images), strict=True):
        states = entering_states(checkpoint, windows(letterbox(image, SIZE)), timestep)
        assert_near(found, averaged(states))
        assert {layer: f.shape[-1] for layer, f in found.items()} == CELLS
        assert all(f.dtype == torch.float32 for f in found.values())


def test_a_single_window_equals_whole_models(checkpoint, images):
    found = ready(checkpoint, window="single").features(images[:1])[0]
    pixels = torch.from_numpy(letterbox(images[0], SIZE)).permute(2, 0, 1)[None] / 255
    states = entering_states(checkpoint, pixels)
    assert_near(found, {layer: state[0] for layer, state in states.items()})


@pytest.mark.parametrize("layers", [["s5"], ["s5", "s4"], ["s5", "s4", "s3"]])
@torch.inference_mode()
def test_stopping_early_changes_no_bit(checkpoint, layers):
    network = load_diffusion(str(checkpoint), TIMESTEP, layers)
    network.draw_noise(CROP, 42)
    call = []
    network.unet.register_forward_pre_hook(
        lambda module, args, kwargs: call.append((args, kwargs)), with_kwargs=True
    )
    pixels = torch.rand(4, 3, CROP, CROP, generator=torch.Generator().manual_seed(0))
    found = network(pixels)

    whole = UNet2DConditionModel.from_pretrained(checkpoint / "unet", low_cpu_mem_usage=False)
    expected = {}
    for layer in layers:
        block, modules = TAPS[layer]

        def record(module, inputs, output, layer=layer):
            expected[layer] = output if isinstance(output, torch.Tensor) else output[0]

        getattr(whole.up_blocks[block], modules)[1].register_forward_hook(record)
    (arguments, keywords) = call[0]
    whole.eval()(*arguments, **keywords)
    assert found.keys() == expected.keys()
    for layer in layers:
        assert torch.equal(found[layer], expected[layer])


@torch.inference_mode()
def test_pixels_plane_after_plane_lose_no_bit(checkpoint, images):
    extractor = ready(checkpoint, window="single")
    pixels = torch.from_numpy(letterbox(images[0], SIZE)).permute(2, 0, 1)[None] / 255
    planes = extractor._network(pixels.contiguous())
    for layer, found in extractor.features(images[:1])[0].items():
        assert torch.equal(found, planes[layer][0])


def test_what_is_not_needed_is_not_kept(checkpoint):
    names = list(load_diffusion(str(checkpoint), TIMESTEP, ["s5", "s4", "s3"]).state_dict())
    gone = ("vae.decoder", "vae.post_quant_conv", "unet.up_blocks.3", "unet.up_blocks.2.upsamplers")
    gone += ("unet.up_blocks.2.resnets.2", "unet.up_blocks.2.attentions.2", "unet.conv_out")
    assert not [name for name in names if name.startswith(gone) or "text_model" in name]
    assert [name for name in names if name.startswith("unet.up_blocks.2.attentions.1")]
    only_first = list(load_diffusion(str(checkpoint), TIMESTEP, ["s5"]).state_dict())
    assert not [name for name in only_first if name.startswith("unet.up_blocks.1")]


def test_four_windows_at_once_are_as_one_by_one(checkpoint, images):
    extractors = [ready(checkpoint, batch=batch) for batch in (1, 3, 4, 8)]
    alone, *together = [extractor.features(images) for extractor in extractors]
    for found in together:
        for a, b in zip(alone, found, strict=True):
            assert_near(b, a)


def test_half_precision_is_near_and_given_as_float32(checkpoint, images):
    extractor = StableDiffusion(weights=str(checkpoint), size=SIZE, crop=CROP)
    extractor.setup(Models(device="cpu", precision="bfloat16"))
    found = extractor.features(images[:1])[0]
    exact = ready(checkpoint).features(images[:1])[0]
    for layer, states in exact.items():
        assert found[layer].dtype == torch.float32
        assert not torch.equal(found[layer], states)
        assert torch.cosine_similarity(found[layer], states, dim=0).mean() > 0.999


def test_the_older_names_in_released_files_load_too(checkpoint, images, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for name in list(tensors):
        for new, old in older.items():
            if f".{new}." in name:
                tensors[name.replace(new, old)] = tensors.pop(name)
    assert "encoder.mid_block.attentions.0.query.weight" in tensors
    save_file(tensors, file, metadata={"format": "pt"})
    file = copy / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name}": tensor for name, tensor in load_file(file).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(8)[None]
    save_file(tensors, file, metadata={"format": "pt"})
    found = ready(copy).features(images[:1])[0]
    expected = ready(checkpoint).features(images[:1])[0]
    assert all(torch.equal(found[layer], expected[layer]) for layer in CELLS)


def test_every_window_and_image_gets_the_same_noise(checkpoint):
    extractor = ready(checkpoint)
    expected = torch.randn(1, 4, CROP, CROP, generator=torch.Generator().manual_seed(42))
    assert torch.equal(extractor._network.noise, expected)
    grey = np.full((CROP, CROP, 3), 90, np.uint8)
    first, *others = extractor._states([grey] * 4) + extractor._states([grey])
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-5, rtol=0)
    assert torch.equal(first["s3"], ready(checkpoint)._states([grey] * 4)[0]["s3"])
    assert not torch.allclose(first["s3"], ready(checkpoint, seed=7)._states([grey])[0]["s3"])


def test_noise_schedule(checkpoint):
    share = signal_share(checkpoint, 100)
    assert share == pytest.approx(0.89422348, abs=1e-8)
    assert share**0.5 == pytest.approx(0.945634, abs=1e-6)
    assert (1 - share) ** 0.5 == pytest.approx(0.325233, abs=1e-6)
    assert signal_share(checkpoint, 50) == pytest.approx(0.95157690, abs=1e-8)
    # The closed form is that of diffusers, whose table is in single precision.
    sample, noise = torch.ones(1, 1), torch.zeros(1, 1)
    scheduler = DDPMScheduler.from_pretrained(checkpoint / "scheduler")
    noised = scheduler.add_noise(sample, noise, torch.tensor([100]))
    assert float(noised) == pytest.approx(share**0.5, abs=1e-6)


def test_odise_without_strength_changes_no_bit(checkpoint, clip, images, tmp_path):
    file, _ = odise_file(tmp_path, torch.zeros(TIME))
    plain = ready(checkpoint).features(images)
    conditioned = ready(checkpoint, odise=str(file), odise_clip=str(clip)).features(images)
    for a, b in zip(plain, conditioned, strict=True):
        assert all(torch.equal(a[layer], b[layer]) for layer in CELLS)


@torch.inference_mode()
def test_odise_equals_a_restatement(checkpoint, clip, images, tmp_path):
    alpha = torch.linspace(-2, 2, TIME)
    file, tensors = odise_file(tmp_path, alpha)
    extractor = ready(checkpoint, odise=str(file), odise_clip=str(clip))

    crops = windows(letterbox(images[0], SIZE))
    resized = transforms.resize(crops, 20, InterpolationMode.BICUBIC, antialias=False)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    network = CLIPVisionModelWithProjection.from_pretrained(clip).eval()
    embeddings = network(transforms.normalize(resized, mean, std)).image_embeds
    weight = tensors["time_embed_project.linear.weight"]
    bias = tensors["time_embed_project.linear.bias"]
    position = tensors["time_embed_project.positional_embedding"]
    term = torch.tanh(alpha) * (embeddings @ weight.T + bias + position[:, 0])
    assert term.std(dim=0).max() > 0.1  # each window has its own

    states = entering_states(checkpoint, crops, time_term=term)
    found = extractor.features(images[:1])[0]
    assert_near(found, averaged(states))
    plain = ready(checkpoint).features(images[:1])[0]
    assert (found["s5"] - plain["s5"]).abs().max() > 0.01


def test_prompts_and_images_meet(checkpoint, images):
    extractor = StableDiffusion(weights=str(checkpoint), size=SIZE, crop=CROP)
    extractor = pickle.loads(pickle.dumps(extractor))  # noqa: S301
    extractor.setup(Models(device="cpu"))
    assert extractor.layer_weights == {"s5": 0.3, "s4": 0.2, "s3": 0.1}
    mask = np.zeros(images[0].shape[:2], np.float32)
    mask[10:30, 15:45] = 1
    bank = [extractor.merge([extractor.describe(images[0], mask)])]
    found = extractor.compare(images, bank, [(6, 9), (8, 5)])
    assert [s.maps.shape for s in found] == [(1, 6, 9), (1, 8, 5)]
    assert all(np.isfinite(s.maps).all() for s in found)


def test_layers_without_a_share_are_not_run(checkpoint, images):
    extractor = ready(checkpoint, layers={"s3": 0.0, "s5": 1.0})
    assert extractor.layer_weights == {"s5": 1.0}
    found = extractor.features(images[:1])[0]
    assert torch.equal(found["s5"], ready(checkpoint).features(images[:1])[0]["s5"])
    assert list(found) == ["s5"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 28}, "size is 28 pixels; it must be a multiple of 8"),
        ({"crop": 12}, "crop is 12 pixels; it must be a multiple of 8"),
        ({"crop": 32}, "crop is 32 pixels; .* at most 24"),
        ({"timestep": 1000}, "timestep is 1000; the model has 0 to 999"),
        ({"layers": {"s5": 0.0}}, "at least one share"),
    ],
)
def test_settings_that_do_not_fit_are_refused(checkpoint, settings, message):
    with pytest.raises(ConfigError, match=message):
        ready(checkpoint, **settings)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_part_that_is_missing_is_named(checkpoint, tmp_path, part):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    shutil.rmtree(copy / part)
    with pytest.raises(WeightsError, match=f"no folder '{part}' in"):
        ready(copy)


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("unet", "diffusion_pytorch_model.safetensors"),
        ("vae", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
        ("tokenizer", "tokenizer.json"),
        ("scheduler", "scheduler_config.json"),
    ],
)
def test_a_truncated_part_is_named(checkpoint, tmp_path, part, file):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    content = (copy / part / file).read_bytes()
    (copy / part / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=rf"copy/{part}\S* cannot be read"):
        ready(copy)


def test_tensors_that_are_missing_are_named(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["mid_block.resnets.0.conv1.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors missing \(mid_block.resnets.0.conv1.weight"):
        ready(copy)


def test_a_unet_without_the_tapped_modules_is_refused(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    shutil.rmtree(copy / "unet")
    UNet2DConditionModel(
        block_out_channels=(8, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ).save_pretrained(copy / "unet")
    with pytest.raises(WeightsError, match=r"no up_blocks\[2\].attentions\[1\]"):
        ready(copy)


def test_files_that_are_no_odise_checkpoint_are_refused(checkpoint, clip, tmp_path):
    file, _ = odise_file(tmp_path, torch.zeros(TIME + 1))
    with pytest.raises(WeightsError, match=r"alpha_cond_time_embed has shape \(33,\), expected"):
        ready(checkpoint, odise=str(file), odise_clip=str(clip))
    torch.save({"alpha": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="is no ODISE checkpoint: 4 of 4 tensors missing"):
        ready(checkpoint, odise=str(file), odise_clip=str(clip))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"odise.pth cannot be read"):
        ready(checkpoint, odise=str(file), odise_clip=str(clip))
    torch.save({"model": print}, file)
    with pytest.raises(WeightsError, match=r"odise.pth cannot be read .*could run code"):
        ready(checkpoint, odise=str(file), odise_clip=str(clip))
