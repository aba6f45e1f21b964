"""Modules of this folder find each other by it, and tests the golden numbers of their method."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[2] / "golden"

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def golden_of():
    """Name -> the script that made the golden numbers of that name, and the numbers."""

    def of(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(GOLDEN)
            return importlib.import_module(f"make_{name}"), np.load(GOLDEN / f"{name}.npz")

    return of
