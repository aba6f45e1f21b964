"""One tiny SAM, in the released form."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ipseg.networks.models import Models

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """The script that made the golden numbers: weights, picture, points."""
    spec = importlib.util.spec_from_file_location("make_sam", GOLDEN / "make_sam.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sam_pth(golden, tmp_path_factory) -> str:
    """Path of a .pth as published, but of the tiny SAM."""
    path = tmp_path_factory.mktemp("weights") / "sam_tiny.pth"
    torch.save(golden.tiny_state(), path)
    return str(path)


@pytest.fixture(scope="session")
def models() -> Models:
    return Models(device="cpu")
