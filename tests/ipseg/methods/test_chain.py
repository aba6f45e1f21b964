"""What all methods have in common stands around their steps; variants share what they can."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import Config, load_config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.methods.method import Method
from ipseg.networks.models import Models
from ipseg.objects import Object
from ipseg.prompts import find_prompts
from ipseg.rows import Step, check_chain, is_failed
from ipseg.runner import prepare, run_local
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.steps.network_step import NetworkStep
from ipseg.steps.support import Support
from ipseg.vision.images import ImageLimits, encode_png

# Work images of a few pixels.
SMALL = [
    *(f"{part}.long_side=96" for part in ("support.saliency", "saliency", "features.classical")),
    *("segmenter.long_side=96", "features.sift.long_side=144"),
]


@dataclass
class MeanColour(Step):
    """The colour of a prompt's whole image."""

    channels: int = 3
    name: ClassVar[str] = "colour"
    requires: ClassVar[tuple[str, ...]] = ("image", "support_mask")
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows):
        return [
            {**row, "prompt_features": {"colour": row["image"].mean((0, 1))[: self.channels]}}
            for row in rows
        ]


@dataclass
class NameLength(Step):
    """What a method that is prompted by a name may keep of it."""

    name: ClassVar[str] = "text"
    requires: ClassVar[tuple[str, ...]] = ("concept",)
    provides: ClassVar[tuple[str, ...]] = ("prompt_features",)

    def __call__(self, rows):
        return [{**row, "prompt_features": {"n": np.array(len(row["concept"]))}} for row in rows]


@dataclass
class Everything(Step):
    """The whole image is the object."""

    bank: PromptsInMemory
    column: str = "image"
    name: ClassVar[str] = "everything"
    provides: ClassVar[tuple[str, ...]] = ("objects",)

    def __post_init__(self):
        self.requires = (self.column, "width", "height")

    def __call__(self, rows):
        return [{**row, "objects": list(self._found(row))} for row in rows]

    def _found(self, row):
        frames = row["frames"] if self.column == "frames" else [row["image"]]
        for number, frame in enumerate(frames):
            for entry in self.bank.asked(row):
                mask = np.ones(frame.shape[:2], bool)
                score = float(entry.features["colour"].mean() / 255)
                yield Object.of(entry.concept, entry.category_id, mask, score, frame=number)


@dataclass(frozen=True)
class Colours(Method):
    """The least that a method can be."""

    channels: int = 3

    def prompt_steps(self):
        return [MeanColour(self.channels)]

    def image_steps(self, bank):
        return [Everything(bank)]


@dataclass(frozen=True)
class Louder(Colours):
    """The same prompts, merged another way."""

    def merge(self, shots):
        return {"colour": np.max([shot["colour"] for shot in shots], axis=0)}


@dataclass(frozen=True)
class Frames(Colours):
    """The same for sequences."""

    row_is: ClassVar[Literal["image", "sequence"]] = "sequence"

    def image_steps(self, bank):
        return [Everything(bank, "frames")]


@dataclass(frozen=True)
class Named(Colours):
    """Prompted by names."""

    prompted_by: ClassVar[Literal["image", "name"]] = "name"

    def prompt_steps(self):
        return [NameLength()]


@dataclass(frozen=True)
class Settings:
    """What chains take from a configuration."""

    method: Method = field(default_factory=Colours)
    support: Support = field(default_factory=lambda: Support("none"))
    images: ImageLimits = field(default_factory=ImageLimits)
    models: Models = field(default_factory=Models)


def small(*overrides):
    return load_config("classical", [*SMALL, *overrides])


def names(steps):
    return [step.name for step in steps]


def run(steps, rows):
    prepare(steps)
    return list(run_local(steps, rows))


def grey(level, shape=(20, 30)):
    return {"uri": "", "image_bytes": encode_png(np.full((*shape, 3), level, np.uint8))}


def bank_of(settings, levels):
    """Bank of the concept "thing", whose prompts are grey."""
    rows = [{"key": str(n), "concept": "thing", **grey(level)} for n, level in enumerate(levels)]
    steps = prompt_chains({"": settings}).steps
    check_chain(steps, ["key", "uri", "image_bytes", "concept"])
    return PromptsInMemory(run(steps, rows), settings.method.merge)


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


@pytest.mark.parametrize(
    ("variants", "chain_of"),
    [
        ({"": small()}, {"": ""}),
        ({"k=8": small("points.k=8"), "k=16": small("points.k=16")}, {"k=8": "", "k=16": ""}),
        (
            {"a": small("features.sift.weight=1"), "b": small("features.sift.weight=2")},
            {"a": "", "b": ""},
        ),
        (
            {"a": small(), "b": small("support=none"), "c": small("points.k=8")},
            {"a": "0", "b": "1", "c": "0"},
        ),
        (
            {"a": small(), "b": small("features.sift.weight=0"), "c": small("features.sift=null")},
            {"a": "0", "b": "1", "c": "1"},
        ),
        ({"a": small(), "b": small("images.min_side=9")}, {"a": "0", "b": "1"}),
        ({"a": small(), "b": small("models.precision=float16")}, {"a": "0", "b": "1"}),
        ({"a": Settings(), "b": Settings(Louder())}, {"a": "0", "b": "1"}),
        ({"a": Settings(Colours(3)), "b": Settings(Colours(2))}, {"a": "0", "b": "1"}),
    ],
)
def test_prompts_are_described_once_for_variants_that_keep_the_same_of_them(variants, chain_of):
    chains = prompt_chains(variants)
    # Which number a chain has is left open: it does not depend on the order of the variants.
    pairs = set(zip(chains.chain_of.values(), chain_of.values(), strict=True))
    assert len(pairs) == len(set(chain_of.values())) == len(set(chains.chain_of.values()))
    assert chains.settings.keys() == set(chain_of.values())
    reverse = prompt_chains(dict(reversed(variants.items())))
    assert reverse.chain_of == chains.chain_of


def test_settings_of_a_chain_are_what_its_features_depend_on():
    def settings(*overrides):
        return prompt_chains({"": small(*overrides)}).settings[""]

    assert [step["step"] for step in settings()] == [
        "read",
        "decode",
        "support",
        "describe",
        "keep",
    ]
    for same in (
        "points.k=8",
        "models.root=/elsewhere",
        "features.sift.weight=1",
        "support=saliency",
    ):
        assert settings(same) == settings(), same
    for other in (
        *("support=none", "features.sift=null", "models.precision=float16", "images.min_side=9"),
        "support.saliency.regions=99",
    ):
        assert settings(other) != settings(), other


def test_prompts_of_several_chains_stand_side_by_side(prompt_folder):
    variants = {"a": small(), "b": small("support=none"), "c": small("points.k=8")}
    chains = prompt_chains(variants)
    rows = run(chains.steps, find_prompts(str(prompt_folder)))
    for label, config in variants.items():
        alone = PromptsInMemory(
            run(prompt_chains({"": config}).steps, find_prompts(str(prompt_folder))),
            config.method.merge,
        )
        bank = PromptsInMemory(rows, config.method.merge, chains.chain_of[label])
        for concept in alone.categories:
            expected, found = alone.features(concept), bank.features(concept)
            assert list(found) == list(expected)
            assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert [prompt["chain"] for prompt in rows[0]["prompts"]] == ["0", "1"]
    assert {prompt["mask_source"] for prompt in rows[0]["prompts"]} == {"mask", "none"}
    assert all(row["image_sha256"] for row in rows)


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
