"""Pooling and comparing precomputed features give the golden numbers of the published matching."""

import runpy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.features.dense import DenseExtractor
from ipseg.networks.models import Models

GOLDEN = Path(__file__).parents[2] / "golden"
GRID = (60, 60)


@dataclass(kw_only=True)
class Stored(DenseExtractor):
    """Precomputed features."""

    layers: dict
    stored: dict = field(init=False)

    @property
    def layer_weights(self):
        return self.layers

    def features(self, images):
        return [{k: torch.from_numpy(v) for k, v in self.stored.items()} for _ in images]


@pytest.mark.parametrize("case", ["square", "mixed"])
def test_numbers_of_the_published_matching(case):
    made, stored = (
        runpy.run_path(str(GOLDEN / "make_matching.py")),
        np.load(GOLDEN / "matching.npz"),
    )
    mask, prompt, image = made["inputs"](case)
    (width, height), (target_width, target_height) = made["SIZES"][case]
    extractor = Stored(layers=made["WEIGHTS"])
    extractor.setup(Models(device="cpu"))
    extractor.stored = prompt
    entry = extractor.prompt_features(np.zeros((height, width, 3), np.uint8), mask)
    for name, vector in entry.items():
        np.testing.assert_allclose(vector, stored[f"{case}.embedding.{name}"], atol=1e-5)
    extractor.stored = image
    target = np.zeros((target_height, target_width, 3), np.uint8)
    found = extractor.compare([target], [entry], [GRID])[0]
    np.testing.assert_allclose(found.maps[0], stored[f"{case}.similarity"], atol=1e-5)
