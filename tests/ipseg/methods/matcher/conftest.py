"""Golden numbers, and what they were made of."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.features.similarity import unit
from ipseg.methods.matcher.matching import cells_inside, described, match, merged
from ipseg.methods.matcher.proposals import Pool, at_centres, touched
from ipseg.vision.masks import encode_rle

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(scope="session")
def golden():
    """The script that made the golden numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GOLDEN)
        return importlib.import_module("make_matcher")


@pytest.fixture(scope="session")
def numbers():
    return np.load(GOLDEN / "matcher.npz")


@pytest.fixture(params=["clear", "weak", "two", "lost"])
def case(request):
    return request.param


@pytest.fixture
def matches(golden, case):
    examples, image, masks, _ = golden.inputs(case)
    grid = (golden.CELLS, golden.CELLS)
    shots = [
        described(torch.from_numpy(example), cells_inside(mask, grid))
        for example, mask in zip(examples, masks, strict=True)
    ]
    return match(merged(shots), unit(torch.from_numpy(image)))


@pytest.fixture
def pool_of(golden):
    """Masks (n, H, W) as a pool, whose predicted IoUs fall."""

    def pool(masks):
        grid = (golden.CELLS, golden.CELLS)
        return Pool(
            [encode_rle(mask) for mask in masks],
            touched(torch.from_numpy(masks).float(), grid).numpy(),
            at_centres(torch.from_numpy(masks), grid).numpy(),
            np.zeros((len(masks), 4), np.float32),
            np.linspace(1, 0, len(masks), dtype=np.float32),
        )

    return pool
