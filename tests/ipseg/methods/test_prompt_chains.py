"""Prompts are described once for all variants that keep the same of them."""

import numpy as np
import pytest
from colours import Colours, Louder, Settings, run, small

from ipseg.bank import PromptsInMemory
from ipseg.methods.chain import prompt_chains
from ipseg.prompts import find_prompts


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
