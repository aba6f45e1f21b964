"""The network that the golden numbers were made with."""

import pytest

from ipseg.methods.sine.architecture import on_meta
from ipseg.networks.checkpoint import load_strict


@pytest.fixture(scope="session")
def golden(golden_of):
    """The script that made the golden numbers."""
    return golden_of("sine")[0]


@pytest.fixture(scope="session")
def numbers(golden_of):
    return golden_of("sine")[1]


@pytest.fixture(scope="session")
def network(golden):
    built = on_meta(golden.SIZES)
    load_strict(built, golden.seeded_state(), "seeded")
    return built.requires_grad_(False).eval()
