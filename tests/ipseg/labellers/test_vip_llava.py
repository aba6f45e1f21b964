"""A name for the object of a prompt, by a tiny random network of the real class."""

import gc
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    PreTrainedTokenizerFast,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

import ipseg
from ipseg.errors import WeightsError
from ipseg.labellers.vip_llava import VipLlava, noun
from ipseg.methods.persense.label import LABEL, label_of
from ipseg.networks import shared
from ipseg.networks.models import Models

WORDS = ["<unk>", "<s>", "</s>", "<image>", "egg", "cup", "lemon.", "a", "The", "object", "is"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vip")
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "vocab_size": len(WORDS), "num_key_value_heads": 2}
    vision = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision |= {"intermediate_size": 32, "image_size": 56, "patch_size": 14}
    config = VipLlavaConfig(
        vision_config={"model_type": "clip_vision_model", **vision},
        text_config={"model_type": "llama", **text},
        image_token_index=3,
        vision_feature_layer=[-2, 1],
        image_seq_length=16,
    )
    network = VipLlavaForConditionalGeneration(config)
    random = np.random.default_rng(1)
    for parameter in network.parameters():
        values = random.standard_normal(parameter.shape) * 0.5
        parameter.data[...] = parameter.new_tensor(values)
    network.generation_config.eos_token_id = 2
    network.save_pretrained(folder)
    unknown, start, end = WORDS[:3]
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token=unknown))
    words.pre_tokenizer = Whitespace()
    marks = {"unk_token": unknown, "bos_token": start, "eos_token": end}
    PreTrainedTokenizerFast(tokenizer_object=words, **marks).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}'
    )
    return folder


@pytest.fixture(scope="module")
def labeller(folder):
    found = VipLlava(str(folder), tokens=6)
    found.setup(Models(device="cpu"))
    return found


def test_the_last_word_without_full_stops_is_the_noun():
    assert noun("The object in the image is an egg.") == "egg"
    assert noun("Egg.###Human: and more") == "Egg"
    assert noun("") == noun("###") == ""


def test_the_same_object_has_the_same_name_whatever_is_around_it(labeller, photos):
    image = photos["cup"]
    mask = np.zeros(image.shape[:2], bool)
    mask[100:220, 120:300] = True
    seen = []
    tower = labeller._network.model.vision_tower
    hook = tower.register_forward_pre_hook(
        lambda _, args, given: seen.append(args[0] if args else given["pixel_values"]),
        with_kwargs=True,
    )
    name = labeller.label(image, mask)
    other = np.where(mask[..., None], image, 255 - image)
    assert labeller.label(other, mask) == name
    hook.remove()
    assert name
    assert name in " ".join(WORDS).replace(".", "").split()
    assert seen[0].shape == (1, 3, 56, 56)
    assert np.array_equal(*(each.numpy() for each in seen))


def test_a_prompt_is_named_once_and_the_network_is_given_back(folder, tiny_root, photos):
    settings = [f"models.root={tiny_root}", "models.device=cpu", "detector.short_side=96"]
    settings += ["labeller.kind=vip_llava", f"labeller.weights={folder}", "labeller.tokens=6"]
    model = ipseg.load("persense", [*settings, "support=mask"])
    mask = np.zeros(photos["cup"].shape[:2], bool)
    mask[100:220, 120:300] = True
    bank = model.set_prompts({"thing": [ipseg.Prompt(photos["cup"], mask=mask)] * 2})
    label = label_of(bank.features("thing"))
    assert label
    assert LABEL in bank.features("thing")
    gc.collect()
    assert not [key for key in shared._loaded if key[0] is VipLlava], "its memory is free"
    asked = []
    (ground,) = (step for step in model._steps if step.name == "ground")
    detect = ground.detector.detect
    ground.detector.detect = lambda encoded, caption: (
        asked.append(caption),
        detect(encoded, caption),
    )[1]
    model.segment(photos["cup"][:120, :160])
    del ground.detector.detect
    assert asked[0] == label


def test_weights_of_something_else_are_refused(folder, tmp_path):
    shutil.copy(folder / "config.json", tmp_path / "config.json")
    text = (tmp_path / "config.json").read_text().replace("vipllava", "llava", 1)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError):
        VipLlava(str(tmp_path)).setup(Models(device="cpu"))
