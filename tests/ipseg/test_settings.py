"""Every setting is listed with what it does, and can be set under the key it is listed by."""

import json

import pytest

from ipseg.config import load_config, profiles
from ipseg.settings import KIND, STAGE, Setting, list_settings, meanings

CONFIGS = {name: load_config(name) for name in profiles()}
LISTED = {name: list_settings(config) for name, config in CONFIGS.items()}
PARTS = ("saliency", "support.saliency", "support.segmenter", "detector", "labeller")
LEAVES = ("features.stable_diffusion.layers",)  # mappings that are one setting


def keys(settings, prefix=""):
    for name, value in settings.items():
        if isinstance(value, dict) and f"{prefix}{name}" not in LEAVES:
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("profile", profiles())
def test_every_key_of_a_profile_is_listed_once(profile):
    listed = [each.key for each in LISTED[profile]]
    assert len(set(listed)) == len(listed)
    known = {*keys(CONFIGS[profile].resolved)} - {"profile"}
    known = {f"{key}.kind" if key in PARTS else key for key in known}  # parts that are not set
    assert known <= {*listed}, known - {*listed}


@pytest.mark.parametrize("profile", profiles())
def test_every_listed_key_can_be_set_and_its_default_changes_nothing(profile):
    for each in LISTED[profile]:
        if KIND in each.key:
            changed = load_config(profile, [each.key.replace(KIND, "sift") + "=0.25"])
            assert changed.method.features["sift"].weight == 0.25
            continue
        override = f"{each.key.replace(STAGE, 'segment')}={json.dumps(each.default)}"
        same = load_config(profile, [override]).resolved
        if STAGE in each.key:
            assert same["runtime"]["stages"].pop("segment")
        assert same == CONFIGS[profile].resolved, override


@pytest.mark.parametrize("profile", profiles())
def test_every_setting_has_a_meaning_and_a_type_in_words(profile):
    for each in LISTED[profile]:
        assert len(each.meaning) > 10, each
        kinds = ("one of", "number", "whole", "text", "true", "mapping", "list")
        assert each.type.startswith(kinds), each


def test_ranges_are_those_that_the_settings_are_checked_by():
    found = {each.key: each for each in LISTED["classical"]}
    assert found["points.k"] == Setting(
        "points.k",
        32,
        "whole number, at least 1",
        "most similar cells that are gathered into positive points.",
    )
    assert found["scoring.presence"].type == "number, 0 to 1"
    assert found["runtime.actors"].type == "whole number, at least 1, or null"
    assert found["runtime.stall_seconds"].type == "number, above 0"
    assert found["features.sift.ratio"].type == "number, above 0, at most 1"
    assert found["refinement.passes"].type == "one of 1, 3"
    assert found["segmenter.kind"].default == "classical"
    assert "hf_sam" in found["segmenter.kind"].type


def test_the_docstrings_of_base_classes_count_and_other_sections_do_not():
    class Base:
        """A base.

        Attributes:
            first, second: both, in
                two lines: with a colon.
            third: of the base.
        """

    class Derived(Base):
        """Derived.

        Attributes:
            third: its own.

        Raises:
            fourth: no attribute.
        """

    both = "both, in two lines: with a colon."
    assert meanings(Derived) == {"first": both, "second": both, "third": "its own."}
