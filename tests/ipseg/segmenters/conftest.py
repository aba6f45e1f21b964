"""One tiny SAM, in the released form."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ipseg.networks.models import Models

GOLDEN = Path(__file__).parents[2] / "golden"
sys.path.append(str(Path(__file__).parent))  # of tiny_sams.py


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """The script that made the golden numbers: weights, image, points."""
    return load("make_sam")


@pytest.fixture(scope="session")
def sam_names() -> ModuleType:
    """How released SAM weights are named in transformers."""
    return load("sam_names")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
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
