"""What all methods have in common stands around their steps; variants share what they can."""

import pytest
from colours import Frames, Louder, Named, Settings, bank_of, grey, names, run, small

from ipseg.bank import PromptsInMemory
from ipseg.config import Config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.networks.models import Models
from ipseg.prompts import find_prompts
from ipseg.rows import check_chain, is_failed
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.support import Support
from ipseg.vision.images import ImageLimits, encode_png


def test_heads_come_before_the_steps_of_a_method():
    settings = Settings()
    assert names(prompt_chains({"": settings}).steps) == [
        *("read", "decode", "support", "colour", "keep", "thumbnail"),
    ]
    bank = bank_of(settings, [100, 200])
    assert bank.features("thing")["colour"].tolist() == [150] * 3, "the mean of its prompts"
    steps = image_chain({"": settings}, {"": bank})
    assert names(steps) == ["read", "decode", "everything"]
    (row,) = run(steps, [{"key": "a", **grey(7)}])
    (found,) = row["objects"]
    assert (found.concept, found.score, found.variant) == ("thing", 150 / 255, "")
    assert found.mask.shape == (20, 30)


def test_limits_of_images_hold_for_prompts_and_images():
    settings = Settings(images=ImageLimits(min_side=25))
    (prompt,) = run(prompt_chains({"": settings}).steps, [{"key": "a", **grey(1)}])
    assert prompt["error_stage"] == "decode"
    bank = bank_of(Settings(), [9])
    (row,) = run(image_chain({"": settings}, {"": bank}), [{"key": "a", **grey(1)}])
    assert row["error_stage"] == "decode"


def test_a_method_of_names_gets_no_image():
    chains = prompt_chains({"": Settings(Named())})
    assert names(chains.steps) == ["text", "keep"]
    check_chain(chains.steps, ["concept"])
    (row,) = run(chains.steps, [{"key": "a", "concept": "cup"}])
    assert row["prompts"][0]["features"]["n"] == 3


def test_a_method_of_sequences_gets_frames(tmp_path):
    uris = []
    for number, level in enumerate((1, 2)):
        uris.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(grey(level)["image_bytes"])
    settings = Settings(Frames())
    bank = bank_of(settings, [9])
    steps = image_chain({"": settings}, {"": bank})
    assert names(steps) == ["frames", "everything"]
    (row,) = run(steps, [{"key": "a", "frame_uris": uris}])
    assert [found.frame for found in row["objects"]] == [0, 1]
    with pytest.raises(ConfigError, match="images and for sequences cannot be compared"):
        image_chain({"a": settings, "b": Settings()}, {"a": bank, "b": bank})


def test_steps_with_networks_are_given_the_models():
    models = Models(root="/weights", device="cpu")
    config = small()
    settings = Settings(config.method, config.support, models=models)
    steps = [
        *prompt_chains({"": settings}).steps,
        *image_chain({"": settings}, {"": bank_of(settings, [9])}),
    ]
    networks = [step for step in steps if isinstance(step, NetworkStep)]
    assert names(networks) == ["support", "describe", "match", "segment"]
    assert all(step.models == models for step in networks)


def test_the_methods_own_segmenter_is_that_of_its_prompts():
    config = small()
    support = prompt_chains({"": config}, drawn=True).steps[2]
    assert support.segmenter == ClassicalSegmenter(long_side=96)
    with pytest.raises(ConfigError, match="and the method has none"):
        prompt_chains({"": Settings(support=Support("box"))})


def banks_of(variants: dict[str, Config], prompts):
    chains = prompt_chains(variants)
    rows = run(chains.steps, prompts)
    return {
        label: PromptsInMemory(rows, config.method.merge, chains.chain_of[label])
        for label, config in variants.items()
    }


def test_a_sweep_finds_what_its_settings_find_alone(prompt_folder, photos):
    variants = {
        "": small(),
        "k=8": small("points.k=8"),
        "sift": small("features.classical=null"),
        "none": small("support=none"),
    }
    prompts = find_prompts(str(prompt_folder))
    images = [
        {"key": name, "uri": "", "image_bytes": encode_png(image)} for name, image in photos.items()
    ]
    images.append({"key": "broken", "uri": "", "image_bytes": b"broken"})
    together = run(image_chain(variants, banks_of(variants, prompts)), images)
    assert [is_failed(row) for row in together] == [False, False, False, True]
    for label, config in variants.items():
        alone = {"": config}
        rows = run(image_chain(alone, banks_of(alone, prompts)), images)
        for one, other in zip(together, rows, strict=True):
            found = [each.record() for each in one.get("objects", ()) if each.variant == label]
            expected = [{**each.record(), "variant": label} for each in other.get("objects", ())]
            assert found == expected
            assert one.get("error_message") == other.get("error_message")


def test_a_comparison_of_methods_runs_what_is_before_them_once():
    variants = {"mean": Settings(), "max": Settings(Louder())}
    chains = prompt_chains(variants)
    assert names(chains.steps) == [
        *("read", "decode", "support", "colour", "keep", "collect", "thumbnail"),
    ]
    rows = run(
        chains.steps,
        [{"key": str(n), "concept": "thing", **grey(level)} for n, level in enumerate((100, 200))],
    )
    banks = {
        label: PromptsInMemory(rows, settings.method.merge, chains.chain_of[label])
        for label, settings in variants.items()
    }
    steps = image_chain(variants, banks)
    assert names(steps) == ["read", "decode", "everything", "collect"]
    (row,) = run(steps, [{"key": "a", **grey(7)}])
    assert {found.variant: found.score for found in row["objects"]} == {
        "mean": 150 / 255,
        "max": 200 / 255,
    }
