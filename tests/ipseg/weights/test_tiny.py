"""All components of all profiles run on the tiny weights, in the real classes."""

import json

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.torch import load_file

from ipseg.components import COUNTERS, FEATURES, SALIENCY, SEGMENTERS, load_class
from ipseg.errors import OutputError
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import Refinement
from ipseg.weights.architectures import (
    CORNET_FILE,
    FOLDERS,
    SAM_FILES,
    SAM_FOLDERS,
    SINE_FILE,
    networks,
)
from ipseg.weights.catalogue import CATALOGUE
from ipseg.weights.counters import COUNTER_FILES
from ipseg.weights.finding import TINY_MARK
from ipseg.weights.tiny import write_tiny

SAM2 = [name for name in FOLDERS if "sam2" in name]
ODISE = "odise_label_coco_50e-b67d2efc.pth"


@pytest.fixture(scope="module")
def photos():
    return [skimage.data.coffee()[::2, ::2], skimage.data.chelsea()[::2, ::2]]


def ready(registry, kind, models, **settings):
    part = load_class(registry[kind])(**settings)
    part.setup(models)
    return part


def test_all_of_the_catalogue_in_less_than_25_mb(tiny_root):
    assert all((tiny_root / name).exists() for name in CATALOGUE)
    assert sum(path.stat().st_size for path in tiny_root.rglob("*") if path.is_file()) < 25e6


def test_the_same_bytes_each_time(tiny_root, tmp_path):
    first = json.loads((tiny_root / TINY_MARK).read_text())["files"]
    (tmp_path / TINY_MARK).write_text("{}")  # as after an interruption
    (tmp_path / CORNET_FILE).write_bytes(b"truncated")
    assert write_tiny(tmp_path) == first
    assert json.loads((tmp_path / TINY_MARK).read_text())["files"] == first


def test_a_folder_with_other_files_is_not_changed(tmp_path):
    (tmp_path / "sam_vit_h_4b8939.pth").write_bytes(b"real")
    with pytest.raises(OutputError, match="not empty"):
        write_tiny(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sam_vit_h_4b8939.pth"]


def test_a_read_only_folder_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_tiny(tmp_path / "file" / "tiny")


@pytest.mark.parametrize(
    "name", [*FOLDERS, *SAM_FOLDERS, *SAM_FILES, CORNET_FILE, SINE_FILE, *COUNTER_FILES]
)
def test_tiny_and_published_networks_have_the_same_form(name):
    """The same class, and tensors of as many axes under the same names, block by block."""
    with torch.device("meta"):
        real, small = networks(name), networks(name, tiny=True)
    assert real.keys() == small.keys()
    for part, network in small.items():
        assert type(network) is type(real[part])
        shapes = {key: len(t.shape) for key, t in real[part].state_dict().items()}
        for key, tensor in network.state_dict().items():
            assert shapes[key] == len(tensor.shape)


@pytest.mark.parametrize(
    ("name", "part", "millions"),
    [
        ("facebook/dinov2-small", "", 22.057),
        ("facebook/dinov2-base", "", 86.580),
        ("openai/clip-vit-base-patch16", "", 149.621),
        ("openai/clip-vit-large-patch14-336", "", 427.944),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "unet", 859.521),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "vae", 83.654),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "text_encoder", 123.060),
        ("sam_vit_h_4b8939.pth", "", 641.091),
        # Published are 38.9, 46.0 and 224.4: 7.46 more each, which is the memory of videos.
        ("facebook/sam2.1-hiera-tiny", "", 31.441),
        ("facebook/sam2.1-hiera-small", "", 38.539),
        ("facebook/sam2.1-hiera-large", "", 216.925),
        (CORNET_FILE, "", 28.398),
        ("IDEA-Research/grounding-dino-tiny", "", 172.251),
        (SINE_FILE, "", 18.777),  # the neck 852,992, the M-Former 17,924,228
    ],
)
def test_published_networks_have_as_many_parameters_as_published(name, part, millions):
    with torch.device("meta"):
        network = networks(name)[part]
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


def test_all_numbers_in_files_are_finite(tiny_root):
    for path in tiny_root.rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("cornet", {}), ("tokencut", {}), ("birefnet", {"remote_code": True, "size": 256})],
)
def test_saliency(tiny, photos, kind, settings):
    saliency = ready(SALIENCY, kind, tiny, **settings)
    for photo in photos:
        found = saliency.predict(photo)
        assert found.std() > 0.05
        assert saliency.isolate(photo).max() > 0.5


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("dinov2", {"size": 280}),
        ("dinov2", {"size": 280, "weights": "facebook/dinov2-with-registers-base"}),
        ("dinov3", {"size": 320}),
        ("clip", {"size": 320}),
        ("mae", {"size": 320}),
        ("stable_diffusion", {"size": 192, "crop": 128}),
        ("stable_diffusion", {"size": 192, "crop": 128, "odise": ODISE}),
    ],
)
def test_features(tiny, photos, kind, settings):
    extractor = ready(FEATURES, kind, tiny, **settings)
    mask = np.zeros(photos[0].shape[:2], np.float32)
    mask[50:150, 80:220] = 1
    bank = [
        extractor.merge([extractor.prompt_features(photo, mask[: len(photo), : photo.shape[1]])])
        for photo in photos
    ]
    for found in extractor.compare(photos, bank, [(60, 60)] * 2):
        assert found.maps.shape == (2, 60, 60)
        assert np.isfinite(found.maps).all()
        assert (found.maps.std(axis=(1, 2)) > 0.01).all()


def test_the_odise_term_makes_a_difference(tiny, photos):
    plain, more = (
        ready(FEATURES, "stable_diffusion", tiny, size=128, crop=128, odise=odise)
        for odise in (None, ODISE)
    )
    a, b = (part.features(photos[:1])[0]["s4"] for part in (plain, more))
    assert (a - b).abs().mean() > 1e-3 * a.abs().mean()


@pytest.mark.parametrize("kind", ["dsalvanet", "countr"])
def test_counters(tiny, photos, kind):
    counter = ready(COUNTERS, kind, tiny)
    boxes = np.array([[20.0, 30, 60, 70], [100, 80, 130, 120]])
    for encoded in counter.encode(photos):
        one, two = (counter.count(encoded, boxes[:n]) for n in (1, 2))
        assert one.map.std() > 1e-3
        assert np.isfinite([one.count, one.total]).all()
        assert not np.array_equal(one.map, two.map)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        *(("segment_anything", name) for name in SAM_FILES),
        *(("hf_sam", name) for name in (*SAM_FOLDERS, *SAM2)),
    ],
)
def test_segmenters(tiny, photos, kind, weights):
    segmenter = ready(SEGMENTERS, kind, tiny, weights=weights)
    points = np.array([[150, 100], [120, 80], [5, 5], [200, 10]], np.float32)
    labels = np.array([1, 1, 0, 0], np.int8)
    for photo, embedding in zip(photos, segmenter.encode(photos), strict=True):
        decoded = segmenter.decode(embedding, points, labels)
        assert decoded.masks.shape == (3, *photo.shape[:2])
        assert 0 < decoded.masks.mean() < 1
        (refined,) = Refinement(passes=3).run_many(
            segmenter,
            embedding,
            [PointPrompt(points, labels)],
            [np.zeros((60, 60), np.float32)],
        )
        assert np.isfinite(refined.low_res_logits).all()
