import json
import logging
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from ipseg.errors import ConfigError, WeightsError
from ipseg.features.dinov2 import Dinov2, reference_positions, use_reference_positions
from ipseg.networks.models import Models
from ipseg.vision.letterbox import letterbox

PATCH, GRID = 4, 5
LAYERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
SHAPE = {**LAYERS, "patch_size": PATCH, "image_size": PATCH * GRID}
OTHER_WIDTH = {"layernorm.weight": torch.zeros(24)}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def build(folder, network):
    """Saves a network with random tensors: zeros and ones would hide mistakes."""
    generator = torch.Generator().manual_seed(3)
    for tensor in network.state_dict().values():
        tensor.copy_(0.5 * torch.randn(tensor.shape, generator=generator))
    network.save_pretrained(folder)
    statistics = {"image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dinov2"), Dinov2Model(Dinov2Config(**SHAPE)))


@pytest.fixture(scope="module")
def registers(tmp_path_factory):
    config = Dinov2WithRegistersConfig(**SHAPE, num_register_tokens=3)
    return build(tmp_path_factory.mktemp("registers"), Dinov2WithRegistersModel(config))


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (33, 21, 3))]


def ready(folder, **settings):
    extractor = Dinov2(weights=str(folder), **settings)
    extractor.setup(Models(device="cpu"))
    return extractor


def last_block(network, image, side):
    """Output of the last block, all tokens, by a hook on the whole network."""
    pixels = torch.from_numpy(letterbox(image, side)).permute(2, 0, 1)[None] / 255
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    seen = []
    handle = network.encoder.layer[-1].register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    with torch.inference_mode():
        network.eval()(pixels)
    handle.remove()
    return seen[0][0]


def as_grid(tokens, cells):
    return tokens[-cells * cells :].T.reshape(-1, cells, cells)


@pytest.mark.parametrize("interpolation", ["reference", "transformers"])
def test_on_the_native_grid_features_are_the_last_block(plain, images, interpolation):
    extractor = ready(plain, size=PATCH * GRID, interpolation=interpolation)
    network = Dinov2Model.from_pretrained(plain)
    for image, layers in zip(images, extractor.features(images), strict=True):
        tokens = last_block(network, image, PATCH * GRID)
        assert len(tokens) == 1 + GRID * GRID
        torch.testing.assert_close(layers, {"tokens": as_grid(tokens, GRID)}, atol=1e-5, rtol=0)
        assert layers["tokens"].dtype == torch.float32


def test_transformers_interpolation_is_that_of_the_network(plain, images):
    extractor = ready(plain, size=PATCH * 8, interpolation="transformers")
    expected = as_grid(last_block(Dinov2Model.from_pretrained(plain), images[0], PATCH * 8), 8)
    found = extractor.features(images[:1])[0]["tokens"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def cubic(plane, cells, scales):
    """Bicubic with a = -0.75 along both axes of (g, g, c), samples at (i + 0.5) / scale - 0.5."""

    def weight(distance):
        d, a = np.abs(distance), -0.75
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    grid = len(plane)
    matrices = []
    for count, scale in zip(cells, scales, strict=True):
        matrix = np.zeros((count, grid))
        for i in range(count):
            at = (i + 0.5) / scale - 0.5
            for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                matrix[i, min(max(tap, 0), grid - 1)] += weight(at - tap)
        matrices.append(matrix)
    return np.einsum("ia,jb,abc->ijc", *matrices, plane)


def released(grid, *cells):
    """The table of a plane (g, g, c) for rows x columns, by the released rule."""
    scales = [(count + 0.1) / len(grid) for count in cells]
    return cubic(grid, cells, scales).reshape(cells[0] * cells[1], -1)


@pytest.mark.parametrize("cells", [(3, 3), (8, 8), (60, 60), (4, 7), (7, 4), (5, 9)])
def test_reference_positions_are_the_released_rule(plain, cells):
    table = load_file(plain / "model.safetensors")["embeddings.position_embeddings"]
    found = reference_positions(table, cells)
    grid = table[0, 1:].double().numpy().reshape(GRID, GRID, -1)
    expected = released(grid, *cells)
    np.testing.assert_allclose(found[0, 1:].numpy(), expected, atol=1e-5)
    assert torch.equal(found[:, 0], table[:, 0])
    without_offset = cubic(grid, cells, [count / GRID for count in cells])
    assert np.abs(expected - without_offset.reshape(expected.shape)).max() > 1e-3


def test_positions_of_the_grid_that_was_trained_are_used_as_they_are(plain):
    table = load_file(plain / "model.safetensors")["embeddings.position_embeddings"]
    assert torch.equal(reference_positions(table, (GRID, GRID)), table)
    network = Dinov2Model.from_pretrained(plain)
    use_reference_positions(network)
    tokens = network.embeddings(torch.zeros(1, 3, PATCH, PATCH * GRID * GRID))
    wide = network.embeddings.interpolate_pos_encoding(tokens, PATCH, PATCH * GRID * GRID)
    assert not torch.equal(wide, table), "as many cells in one row are another grid"


def test_reference_interpolation_reaches_the_features(plain, images):
    network = Dinov2Model.from_pretrained(plain)
    table = network.embeddings.position_embeddings.detach()
    grid = table[0, 1:].double().numpy().reshape(GRID, GRID, -1)
    stretched = torch.from_numpy(released(grid, 8, 8)).float().reshape(1, 64, -1)
    positions = torch.cat([table[:, :1], stretched], 1)
    network.embeddings.interpolate_pos_encoding = lambda embeddings, height, width: positions
    expected = as_grid(last_block(network, images[0], PATCH * 8), 8)
    found = ready(plain, size=PATCH * 8).features(images[:1])[0]["tokens"]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("interpolation", ["reference", "transformers"])
def test_registers_are_left_out(registers, images, interpolation):
    extractor = ready(registers, size=PATCH * 7, interpolation=interpolation)
    network = Dinov2WithRegistersModel.from_pretrained(registers)
    tokens = last_block(network, images[0], PATCH * 7)
    assert len(tokens) == 1 + 3 + 49
    found = extractor.features(images[:1])[0]["tokens"]
    torch.testing.assert_close(found, as_grid(tokens, 7), atol=1e-5, rtol=0)


def test_folder_and_file_are_the_same_weights(plain, images):
    folder = ready(plain, size=28).features(images)
    file = ready(plain / "model.safetensors", size=28).features(images)
    assert torch.equal(folder[1]["tokens"], file[1]["tokens"])


def test_half_precision_files_load_as_float32(plain, images, tmp_path):
    halves = shutil.copytree(plain, tmp_path / "half")
    tensors = {k: v.half() for k, v in load_file(plain / "model.safetensors").items()}
    save_file(tensors, halves / "model.safetensors", metadata={"format": "pt"})
    extractor = ready(halves, size=28)
    assert {p.dtype for p in extractor._network.parameters()} == {torch.float32}
    assert extractor.features(images)[0]["tokens"].dtype == torch.float32


def test_half_precision_is_close_and_returned_as_float32(plain, images):
    extractor = Dinov2(weights=str(plain), size=28)
    extractor.setup(Models(device="cpu", precision="bfloat16"))
    found = extractor.features(images[:1])[0]["tokens"]
    exact = ready(plain, size=28).features(images[:1])[0]["tokens"]
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    assert torch.cosine_similarity(found, exact, dim=0).mean() > 0.99


def test_a_batch_equals_single_images(plain, images):
    together = ready(plain, size=28, batch=4).features(images)
    alone = ready(plain, size=28).features(images)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_without_statistics_imagenet_is_used_with_a_warning(plain, images, tmp_path, caplog):
    bare = shutil.copytree(plain, tmp_path / "bare")
    (bare / "preprocessor_config.json").unlink()
    with caplog.at_level(logging.WARNING):
        extractor = ready(bare, size=28)
    assert "ImageNet" in caplog.text
    assert extractor._normalisation[0] == pytest.approx([0.485, 0.456, 0.406])
    assert ready(plain, size=28)._normalisation[0] == pytest.approx(MEAN)


def test_a_size_between_patches_is_rounded_down_with_a_warning(plain, images, caplog):
    with caplog.at_level(logging.WARNING):
        extractor = ready(plain, size=30)
    assert "using 28" in caplog.text
    assert extractor.features(images[:1])[0]["tokens"].shape == (16, 7, 7)


def test_prompts_and_images_are_compared(plain, images):
    extractor = pickle.loads(pickle.dumps(Dinov2(weights=str(plain), size=28)))  # noqa: S301
    extractor.setup(Models(device="cpu"))
    mask = np.zeros(images[0].shape[:2], np.float32)
    mask[10:30, 15:45] = 1
    bank = [extractor.merge([extractor.prompt_features(images[0], mask)])]
    found = extractor.compare(images, bank, [(6, 9), (8, 5)])
    assert [s.maps.shape for s in found] == [(1, 6, 9), (1, 8, 5)]
    assert all(np.isfinite(s.maps).all() for s in found)


def test_a_size_below_one_patch_is_refused(plain):
    with pytest.raises(ConfigError, match="less than one patch of 4"):
        ready(plain, size=3)


def damaged(plain, folder, change):
    copy = shutil.copytree(plain, folder / "damaged")
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def without_block(tensors):
    for name in [n for n in tensors if n.startswith("encoder.layer.1.")]:
        del tensors[name]


def one_more_block(tensors):
    for name in [n for n in tensors if n.startswith("encoder.layer.1.")]:
        tensors[name.replace("layer.1", "layer.2")] = tensors[name].clone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_block, r"\d+ tensors missing \(encoder.layer.1.\S+, \S+, \S+, \.\.\.\)"),
        (one_more_block, r"\d+ tensors unexpected \(encoder.layer.2."),
        (lambda t: t.update(OTHER_WIDTH), r"1 tensors of another shape \(layernorm.weight\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(plain, tmp_path, change, message):
    with pytest.raises(WeightsError, match=message) as error:
        ready(damaged(plain, tmp_path, change), size=28)
    assert str(tmp_path / "damaged") in str(error.value)


def test_a_truncated_file_is_refused(plain, tmp_path):
    copy = shutil.copytree(plain, tmp_path / "cut")
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    for weights in (copy, file):
        with pytest.raises(
            WeightsError, match=r"cut/model.safetensors cannot be read .*weights fetch"
        ):
            ready(weights, size=28)


def test_another_kind_of_model_is_refused(tmp_path):
    config = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    CLIPVisionModel(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="type 'clip_vision_model', expected dinov2"):
        ready(tmp_path)


def test_a_folder_without_config_is_refused(plain, tmp_path):
    with pytest.raises(WeightsError, match=r"no config.json in"):
        ready(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(WeightsError, match=r"config.json cannot be read"):
        ready(tmp_path)
    with pytest.raises(WeightsError, match="'nobody/nothing' not found"):
        ready("nobody/nothing")
