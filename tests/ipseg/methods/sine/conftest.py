"""The network that the golden numbers were made with."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from ipseg.methods.sine.architecture import on_meta
from ipseg.networks.checkpoint import load_strict

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(scope="session")
def golden():
    """The script that made the golden numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GOLDEN)
        return importlib.import_module("make_sine")


@pytest.fixture(scope="session")
def numbers():
    return np.load(GOLDEN / "sine.npz")


@pytest.fixture(scope="session")
def network(golden):
    built = on_meta(golden.SIZES)
    load_strict(built, golden.seeded_state(), "seeded")
    return built.requires_grad_(False).eval()
