"""Loading and truncating a tiny Stable Diffusion."""

import shutil

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from ipseg.errors import WeightsError
from ipseg.features.stable_diffusion_network import TAPS, load_diffusion, signal_share


@pytest.mark.parametrize("layers", [["s5"], ["s5", "s4"], ["s5", "s4", "s3"]])
@torch.inference_mode()
def test_truncation_changes_no_bit(diffusion, checkpoint, layers):
    network = load_diffusion(str(checkpoint), diffusion.TIMESTEP, layers)
    network.draw_noise(diffusion.CROP, 42)
    call = []
    network.unet.register_forward_pre_hook(
        lambda module, args, kwargs: call.append((args, kwargs)), with_kwargs=True
    )
    pixels = torch.rand(
        4, 3, diffusion.CROP, diffusion.CROP, generator=torch.Generator().manual_seed(0)
    )
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


def test_unused_parts_are_removed(diffusion, checkpoint):
    names = list(
        load_diffusion(str(checkpoint), diffusion.TIMESTEP, ["s5", "s4", "s3"]).state_dict()
    )
    gone = ("vae.decoder", "vae.post_quant_conv", "unet.up_blocks.3", "unet.up_blocks.2.upsamplers")
    gone += ("unet.up_blocks.2.resnets.2", "unet.up_blocks.2.attentions.2", "unet.conv_out")
    assert not [name for name in names if name.startswith(gone) or "text_model" in name]
    assert [name for name in names if name.startswith("unet.up_blocks.2.attentions.1")]
    only_first = list(load_diffusion(str(checkpoint), diffusion.TIMESTEP, ["s5"]).state_dict())
    assert not [name for name in only_first if name.startswith("unet.up_blocks.1")]


def test_the_older_names_in_released_files_load_too(diffusion, checkpoint, noise_images, tmp_path):
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
    found = diffusion.ready(copy).features(noise_images[:1])[0]
    expected = diffusion.ready(checkpoint).features(noise_images[:1])[0]
    assert all(torch.equal(found[layer], expected[layer]) for layer in diffusion.CELLS)


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


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(diffusion, checkpoint, tmp_path, part):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    shutil.rmtree(copy / part)
    with pytest.raises(WeightsError, match=f"no folder '{part}' in"):
        diffusion.ready(copy)


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
def test_a_truncated_part_is_named(diffusion, checkpoint, tmp_path, part, file):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    content = (copy / part / file).read_bytes()
    (copy / part / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=rf"copy/{part}\S* cannot be read"):
        diffusion.ready(copy)


def test_missing_tensors_are_named(diffusion, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["mid_block.resnets.0.conv1.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors missing \(mid_block.resnets.0.conv1.weight"):
        diffusion.ready(copy)


def test_a_unet_without_the_tapped_modules_is_refused(diffusion, checkpoint, tmp_path):
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
        diffusion.ready(copy)
