import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTMAEModel,
)

from ipseg.errors import WeightsError
from ipseg.features.vits import Clip, Dinov3, Mae
from ipseg.networks.models import Models
from ipseg.vision.letterbox import letterbox

PATCH, GRID, REGISTERS = 4, 5, 3
SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": PATCH,
    "image_size": PATCH * GRID,
}
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def build(folder, network):
    generator = torch.Generator().manual_seed(5)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 * torch.randn(tensor.shape, generator=generator))
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dinov3(tmp_path_factory):
    config = DINOv3ViTConfig(**SHAPE, num_register_tokens=REGISTERS)
    return build(tmp_path_factory.mktemp("dinov3"), DINOv3ViTModel(config))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The whole model with both towers, as on the hub."""
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 12,
        "bos_token_id": 10,
        "eos_token_id": 11,
    }
    config = CLIPConfig(text_config=text, vision_config=SHAPE, projection_dim=8)
    return build(tmp_path_factory.mktemp("clip"), CLIPModel(config))


@pytest.fixture(scope="module")
def mae(tmp_path_factory):
    """With the decoder, as on the hub."""
    decoder = {
        "decoder_hidden_size": 8,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 1,
        "decoder_intermediate_size": 8,
    }
    config = ViTMAEConfig(**SHAPE, **decoder)
    return build(tmp_path_factory.mktemp("mae"), ViTMAEForPreTraining(config))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (50, 31, 3), np.uint8)


def found(kind, folder, image, size):
    extractor = kind(weights=str(folder), size=size)
    extractor.setup(Models(device="cpu"))
    assert extractor.layer_weights == {"tokens": 1.0}
    return extractor.features([image])[0]["tokens"]


def pixels(image, size):
    canvas = torch.from_numpy(letterbox(image, size)).permute(2, 0, 1) / 255
    return ((canvas - MEAN) / STD)[None]


def as_grid(tokens, cells):
    return tokens.T.reshape(-1, cells, cells)


@pytest.mark.parametrize("cells", [GRID, 8])
@torch.inference_mode()
def test_dinov3_without_cls_and_registers(dinov3, image, cells):
    network = DINOv3ViTModel.from_pretrained(dinov3).eval()
    tokens = network(pixels(image, PATCH * cells)).last_hidden_state[0]
    assert len(tokens) == 1 + REGISTERS + cells**2
    expected = as_grid(tokens[1 + REGISTERS :], cells)
    result = found(Dinov3, dinov3, image, PATCH * cells)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cells", [GRID, 8])
@torch.inference_mode()
def test_clip_without_cls(clip, image, cells):
    network = CLIPModel.from_pretrained(clip).eval().vision_model
    output = network(
        pixels(image, PATCH * cells), interpolate_pos_encoding=True, output_hidden_states=True
    )
    expected = as_grid(output.hidden_states[-1][0, 1:], cells)
    result = found(Clip, clip, image, PATCH * cells)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_clip_from_its_image_tower_alone(clip, image, tmp_path):
    CLIPVisionModel.from_pretrained(clip).save_pretrained(tmp_path)
    assert torch.equal(found(Clip, tmp_path, image, 32), found(Clip, clip, image, 32))


@pytest.mark.parametrize("cells", [GRID, 8])
@torch.inference_mode()
def test_mae_encodes_every_patch_in_order(mae, image, cells):
    network = ViTMAEModel.from_pretrained(mae).eval()
    network.config.mask_ratio = 0.0
    torch.manual_seed(0)
    output = network(pixels(image, PATCH * cells), interpolate_pos_encoding=True)
    order = output.ids_restore[0]  # where the network's shuffle put each patch
    assert not torch.equal(order, torch.arange(cells**2))
    expected = as_grid(output.last_hidden_state[0, 1:][order], cells)
    result = found(Mae, mae, image, PATCH * cells)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    assert torch.equal(result, found(Mae, mae, image, PATCH * cells))


def test_weights_of_another_kind_are_refused(dinov3, clip, mae, image):
    for kind, folder in ((Clip, mae), (Mae, dinov3), (Dinov3, clip)):
        with pytest.raises(WeightsError, match="expected"):
            found(kind, folder, image, 32)


def test_a_missing_tensor_is_named(mae, image, tmp_path):
    copy = shutil.copytree(mae, tmp_path / "mae")
    tensors = load_file(copy / "model.safetensors")
    name = next(n for n in tensors if "decoder" not in n and n.endswith("layernorm_after.weight"))
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="1 tensors missing"):
        found(Mae, copy, image, 32)
