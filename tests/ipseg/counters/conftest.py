"""The counters that the golden numbers were made with."""

import importlib.util
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden():
    """The script that made the golden numbers."""
    spec = importlib.util.spec_from_file_location("make_counters", GOLDEN / "make_counters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where `golden.counter` leaves its checkpoints."""
    return tmp_path_factory.mktemp("counters")


@pytest.fixture(scope="session")
def dsalvanet(golden, folder):
    return golden.counter("dsalvanet", folder)


@pytest.fixture(scope="session")
def countr(golden, folder):
    return golden.counter("countr", folder)


@pytest.fixture
def saved(tmp_path):
    """Writes a checkpoint and gives its address."""

    def save(content):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path)
        return str(path)

    return save
