import numpy as np
import pytest
import torch
from PIL import Image

from ipseg.errors import ConfigError
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.networks.models import Models

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (50, 90, 3), np.uint8)


@pytest.fixture
def encoder(tiny_root):
    def encoder(weights="facebook/dinov3-vitb16-pretrain-lvd1689m", size=96):
        part = PatchEncoder(weights, size)
        part.setup(Models(str(tiny_root), "cpu"))
        return part

    return encoder


@pytest.mark.parametrize(
    ("weights", "cells"),
    [
        ("facebook/dinov3-vitb16-pretrain-lvd1689m", 6),
        ("facebook/dinov2-small", 6),  # 96 pixels are 6 of its patches of 14
        ("facebook/dinov2-with-registers-base", 6),
    ],
)
@torch.inference_mode()
def test_tokens_after_the_final_norm_of_the_squashed_image(encoder, image, weights, cells):
    part = encoder(weights)
    assert (part.cells, part.channels) == (cells, 32)
    square = Image.fromarray(image).resize((part.side, part.side), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255
    tokens = part._network(((pixels - MEAN) / STD)[None]).last_hidden_state[0, -(cells**2) :]
    (found,) = part.encode([image])
    torch.testing.assert_close(found, tokens.T.reshape(32, cells, cells), atol=1e-5, rtol=0)
    norm = getattr(part._network, "norm", None) or part._network.layernorm
    centred = (found.flatten(1).T - norm.bias) / norm.weight
    assert centred.mean(dim=1).abs().max() < 1e-4


def test_an_image_is_encoded_once(encoder, image):
    part = encoder()
    passes = []
    part._network.register_forward_hook(lambda *_: passes.append(1))
    images = [image, image[:, ::-1].copy()]
    first, again = part.encode(images), part.encode(images)
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert len(passes) == 2, "batches of one"
    part.encode(images, lambda each, side: torch.zeros(3, side, side))
    assert len(passes) == 4, "prepared in another way"


def test_black_has_the_statistics_of_a_black_image(encoder):
    part = encoder()
    (black,) = part.encode([np.zeros((30, 20, 3), np.uint8)])
    torch.testing.assert_close(part.of_black(), black)


def test_a_square_below_one_patch_is_refused(encoder):
    with pytest.raises(ConfigError, match="less than one patch of 16"):
        encoder(size=15)
