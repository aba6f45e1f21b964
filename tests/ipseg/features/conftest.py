"""One tiny Stable Diffusion, with what compares it to whole models."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def diffusion():
    """The module `tiny_diffusion`: sizes, weights, and features by whole models."""
    file = Path(__file__).with_name("tiny_diffusion.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def checkpoint(diffusion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stable-diffusion")
    diffusion.write_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def odise_clip(diffusion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    diffusion.write_clip(folder)
    return folder


@pytest.fixture(scope="session")
def noise_images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (33, 21, 3))]
