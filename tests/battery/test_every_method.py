"""Every profile that is shipped, and so every method, passes the battery."""

import pytest
from checks import check_method
from subject import Subject

from ipseg.components import METHODS
from ipseg.config import load_config, profiles


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_passes_the_battery(profile, tiny_root, scenes, tmp_path, subtests):
    check_method(Subject(profile, tiny_root, scenes), tmp_path, subtests)


def test_every_method_has_a_profile():
    assert {load_config(profile).method_name for profile in profiles()} == set(METHODS)
