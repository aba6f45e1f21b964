"""GroupViT, with tiny weights of the real class."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import CLIPTokenizer, GroupViTModel
from transformers.models.groupvit.modeling_groupvit import get_grouping_from_attentions

import ipseg
from ipseg.config import load_config
from ipseg.errors import ConfigError, WeightsError
from ipseg.methods.groupvit.network import GroupVitNetwork
from ipseg.networks.models import Models

SIDE = 64  # of the tiny network's training images
NAME = "nvidia/groupvit-gcc-yfcc"


@pytest.fixture(scope="module")
def part(tiny_root):
    part = GroupVitNetwork(short_side=SIDE)
    part.setup(Models(root=str(tiny_root), device="cpu"))
    return part


@pytest.fixture(scope="module")
def library(tiny_root):
    return GroupViTModel.from_pretrained(str(tiny_root / NAME)).eval()


def test_a_window_and_a_name_are_those_of_the_library(part, library, tiny_root, photos):
    image = np.ascontiguousarray(photos["cat"][:SIDE, :SIDE])
    (window,) = part.encode([image])[0].windows
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    pixels = torch.from_numpy((image - mean) / deviation).permute(2, 0, 1)[None].float()
    words = CLIPTokenizer.from_pretrained(str(tiny_root / NAME))(
        ["a photo of a cat."], padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.inference_mode():
        found = library(**words, pixel_values=pixels, output_segmentation=True)
        vision = found.vision_model_output
        groups = library.visual_projection(vision.last_hidden_state[0])
        expected = get_grouping_from_attentions(vision.attentions, (SIDE, SIDE))
    assert (window.group_of == expected[0].argmax(dim=0)).float().mean() > 0.999
    assert len(window.group_of.unique()) > 1
    torch.testing.assert_close(
        window.groups, functional.normalize(groups, dim=1), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(window.whole, found.image_embeds[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.read(["cat"]), found.text_embeds, atol=1e-5, rtol=0)
    assert part.scale == pytest.approx(float(library.logit_scale.detach().exp()))


@pytest.mark.parametrize(
    ("shape", "resized", "windows"),
    [
        ((100, 100), (64, 64), [(0, 0)]),
        ((100, 150), (64, 96), [(0, 0), (0, 32)]),
        ((160, 100), (102, 64), [(0, 0), (32, 0), (38, 0)]),
        ((1000, 6), (2048, 16), [(32 * n, 0) for n in range(63)]),
    ],
)
def test_windows_cover_an_image_of_any_form(part, shape, resized, windows):
    (found,) = part.encode([np.zeros((*shape, 3), np.uint8)])
    assert found.resized == resized
    assert [(w.top, w.left) for w in found.windows] == windows
    seen = np.zeros(resized, bool)
    for each in found.windows:
        height, width = each.group_of.shape
        seen[each.top : each.top + height, each.left : each.left + width] = True
    assert seen.all()


def segmented(tiny_root, photos, *overrides):
    settings = [f"models.root={tiny_root}", "models.device=cpu", f"groupvit.short_side={SIDE}"]
    model = ipseg.load("groupvit", [*settings, "naming.best=9", *overrides])
    model.set_prompts({"cat": photos["cat"], "cup": photos["cup"], "rocket": photos["rocket"]})
    return model.segment(photos["cup"])


def test_concepts_compete_where_they_are_to(tiny_root, photos):
    apart, together = (
        segmented(tiny_root, photos, "naming.background=0", *more)
        for more in (
            ("naming.others=[grass]",),
            ("naming.concepts=together", "naming.others=[]"),
        )
    )
    masks = [found.mask for found in together.objects]
    assert (np.sum(masks, axis=0) == 1).all(), "each pixel has one name"
    overlaps = np.sum([found.mask for found in apart.objects], axis=0)
    assert overlaps.max() > 1
    assert all(0 <= found.score <= 1 for found in (*apart.objects, *together.objects))


def test_a_name_that_competes_with_none_is_refused():
    with pytest.raises(ConfigError, match="takes every pixel"):
        load_config("groupvit", ["naming.others=[]"])


def test_words_of_another_model_are_refused(tiny_root, tmp_path):
    for file in (tiny_root / NAME).iterdir():
        if file.name not in ("vocab.json", "merges.txt"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match=r"vocab.json|cannot be read"):
        GroupVitNetwork(weights=str(tmp_path)).setup(Models(device="cpu"))
