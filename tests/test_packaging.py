"""What pyproject.toml asks for, and the pins of constraints.txt."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [
    Requirement(each)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for each in group
]
PINS = (ROOT / "constraints.txt").read_text().splitlines()


def test_any_python_from_3_11_on():
    pythons = SpecifierSet(PROJECT["requires-python"])
    assert all(f"3.{minor}" in pythons for minor in (11, 12, 13, 14))
    assert "3.10" not in pythons
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in pythons


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_a_library_has_a_lower_bound_alone(asked):
    assert [each.operator for each in asked.specifier] == [">="]


def test_pins_name_a_version_and_no_registry_and_meet_what_is_asked_for():
    pins = [Requirement(line) for line in PINS]
    assert all(pin.url is None and pin.marker is None for pin in pins)
    assert all([each.operator for each in pin.specifier] == ["=="] for pin in pins)
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    missing = {each.name for each in ASKED} - {"gcsfs"} - set(versions)
    assert not missing
    wrong = [str(each) for each in ASKED if versions.get(each.name, "9999") not in each.specifier]
    assert not wrong
