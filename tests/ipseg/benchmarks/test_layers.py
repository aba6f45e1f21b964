"""Imports in `ipseg.benchmarks`: datasets -> annotations -> the shared modules <- published."""

import re
from pathlib import Path

import pytest

import ipseg.benchmarks

ROOT = Path(ipseg.benchmarks.__file__).parent
MAY_IMPORT = {
    "": set(),
    "annotations": {"annotations"},
    "datasets": {"annotations", "datasets"},
    "published": {"published"},
}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_no_folder_imports_one_above_it(folder):
    files = list((ROOT / folder).glob("*.py"))
    assert len(files) > 1
    for file in files:
        imported = set(re.findall(r"^from ipseg\.benchmarks\.(\w+)\.", file.read_text(), re.M))
        assert imported <= MAY_IMPORT[folder], file
