"""Every profile that is shipped, and so every method, passes the battery."""

from pathlib import Path

import pytest
from checks import check_method
from subject import Subject

from ipseg.components import METHODS
from ipseg.config import load_config, profiles

OWN = str(Path(__file__).with_name("colour-tracks.yaml"))


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_passes_the_battery(profile, tiny_root, scenes, tmp_path, subtests):
    check_method(Subject(profile, tiny_root, scenes), tmp_path, subtests)


@pytest.mark.parametrize("profile", ["classical", "dinov2", "ipseg-light"])
def test_so_does_a_profile_that_looks_for_each_instance(
    profile, tiny_root, scenes, tmp_path, subtests
):
    each = ("instances.mode=each", "instances.convincing=0", "instances.max_instances=4")
    check_method(Subject(profile, tiny_root, scenes, each), tmp_path, subtests)


def test_so_does_a_method_of_ones_own_and_of_sequences(tiny_root, scenes, tmp_path, subtests):
    check_method(Subject(OWN, tiny_root, scenes), tmp_path, subtests)


def test_every_method_has_a_profile():
    assert {load_config(profile).method_name for profile in profiles()} == set(METHODS)
