"""DINOv2 and DINOv3 from files with the names of their releases."""

import re

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from ipseg.errors import WeightsError
from ipseg.features.vits import Dinov3
from ipseg.networks.dino import load_dino
from ipseg.networks.models import Models

SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
# Name in transformers -> in the release, after the block.
NAMES = [
    (r"(encoder|model)\.layer\.(\d+)\.", r"blocks.\2."),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.register_tokens", "storage_tokens"),
    (r"embeddings\.patch_embeddings(\.projection)?", "patch_embed.proj"),
    (r"embeddings\.", ""),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"attention\.o_proj", "attn.proj"),
    (r"mlp\.up_proj", "mlp.fc1"),
    (r"mlp\.down_proj", "mlp.fc2"),
    (r"layernorm", "norm"),
]


def random(network):
    generator = torch.Generator().manual_seed(3)
    for tensor in network.state_dict().values():
        tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def released(network):
    """The state dict as its repository writes it; queries, keys and values are one matrix."""
    found = {}
    for name, tensor in network.state_dict().items():
        theirs = name
        for pattern, new in NAMES:
            theirs = re.sub(pattern, new, theirs)
        found[theirs] = tensor
    for name in [name for name in found if "q_proj" in name]:
        parts = [found.pop(name.replace("q_proj", f"{p}_proj"), None) for p in "qkv"]
        parts = [torch.full_like(parts[0], 7.0) if part is None else part for part in parts]
        found[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return found


@pytest.fixture(scope="module")
def dinov3():
    config = DINOv3ViTConfig(**SIZES, intermediate_size=192, num_register_tokens=4)
    network = random(DINOv3ViTModel(config))
    state = released(network)
    state["mask_token"] = state["mask_token"][0]
    # Biases of keys are masked in the release: whatever they are, they have no effect.
    state |= {f"blocks.{n}.attn.qkv.bias_mask": torch.ones(384) for n in (0, 1)}
    return network, state | {"rope_embed.periods": torch.ones(16)}


@pytest.fixture(scope="module")
def dinov2():
    network = random(Dinov2Model(Dinov2Config(**SIZES, image_size=28)))
    return network, released(network)


@pytest.mark.parametrize("kind", ["dinov3", "dinov2"])
@torch.inference_mode()
def test_a_released_file_gives_the_same_tokens(kind, request, tmp_path):
    network, state = request.getfixturevalue(kind)
    path = str(tmp_path / f"{kind}.pth")
    torch.save(state, path)
    pixels = torch.randn(1, 3, 32, 32) if kind == "dinov3" else torch.randn(1, 3, 28, 28)
    loaded = load_dino(path)
    assert not loaded.training
    expected = network(pixels).last_hidden_state
    torch.testing.assert_close(loaded(pixels).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_the_extractor_takes_it_too(dinov3, tmp_path):
    path = str(tmp_path / "dinov3.pth")
    torch.save(dinov3[1], path)
    extractor = Dinov3(weights=path, size=64)
    extractor.setup(Models(device="cpu"))
    image = torch.arange(64 * 64 * 3).reshape(64, 64, 3).to(torch.uint8).numpy()
    assert extractor.features([image])[0]["tokens"].shape == (128, 4, 4)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("blocks.1.mlp.fc2.weight", r"1 missing \(model\.layer\.1\.mlp\.down_proj\.weight\)"),
        ("norm.bias", r"1 missing \(norm\.bias\)"),
        ("patch_embed.proj.weight", "has no DINOv3"),
        ("blocks.0.mlp.fc1.bias", "has no DINOv3"),
    ],
)
def test_a_missing_tensor_is_named(dinov3, lost, message, tmp_path):
    path = str(tmp_path / "dinov3.pth")
    torch.save({name: t for name, t in dinov3[1].items() if name != lost}, path)
    with pytest.raises(WeightsError, match=message):
        load_dino(path)


def test_so_is_one_that_does_not_belong_there(dinov3, tmp_path):
    path = str(tmp_path / "dinov3.pth")
    torch.save(dinov3[1] | {"head.weight": torch.ones(3)}, path)
    with pytest.raises(WeightsError, match=r"1 not of this model \(head\.weight\)"):
        load_dino(path)
