"""Tiny weights, written once."""

import pytest
import torch

from ipseg.models import Models
from ipseg.weights.tiny import write_tiny

torch.set_num_threads(1)  # the networks are tiny: more threads only wait for each other


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights") / "tiny"
    write_tiny(root)
    return root


@pytest.fixture(scope="session")
def tiny(tiny_root) -> Models:
    return Models(root=str(tiny_root), device="cpu")
