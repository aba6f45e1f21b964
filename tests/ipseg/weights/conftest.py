"""Tiny weights as models for components."""

import pytest

from ipseg.networks.models import Models


@pytest.fixture(scope="session")
def tiny(tiny_root) -> Models:
    return Models(root=str(tiny_root), device="cpu")
