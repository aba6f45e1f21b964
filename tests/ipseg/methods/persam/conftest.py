"""The tiny SAM that the golden numbers were made with, and the images."""

import numpy as np
import pytest
import torch

from ipseg.networks.models import Models
from ipseg.segmenters.refinement import only
from ipseg.segmenters.segment_anything import SegmentAnything


@pytest.fixture(scope="session")
def golden(golden_of):
    """The script that made the golden numbers."""
    return golden_of("persam")[0]


@pytest.fixture(scope="session")
def numbers(golden_of):
    return golden_of("persam")[1]


class Recorded(SegmentAnything):
    """Remembers the prompts it got, and what it answered."""

    def __post_init__(self):
        super().__post_init__()
        self.prompts, self.answers = [], []

    def decode_many(self, embedding, prompts, *, best=False, **how):
        answers = super().decode_many(embedding, prompts, **how)
        return self._keep(prompts, answers, best)

    def decode_guided(self, embedding, prompts, guidance, *, best=False, **how):
        answers = super().decode_guided(embedding, prompts, guidance, **how)
        return self._keep(prompts, answers, best)

    def _keep(self, prompts, answers, best):
        """Remembers all candidates, whatever is asked for."""
        self.prompts += prompts
        self.answers += answers
        return [only(a, int(np.argmax(a.predicted_iou))) for a in answers] if best else answers


@pytest.fixture(scope="session")
def load(tmp_path_factory):
    """A segmenter with given weights."""

    def load(state):
        path = tmp_path_factory.mktemp("weights") / "sam.pth"
        torch.save(state, path)
        segmenter = Recorded(weights=str(path))
        segmenter.setup(Models(device="cpu"))
        return segmenter

    return load


@pytest.fixture(scope="session")
def segmenter(golden, load):
    return load(golden.tiny_state())


@pytest.fixture(scope="session")
def embeddings(golden, segmenter):
    """Name -> embedding of each image."""
    images = golden.photos()
    return dict(zip(images, segmenter.encode(list(images.values())), strict=True))


@pytest.fixture
def recorded(segmenter):
    """The same, its memory empty."""
    segmenter.prompts.clear()
    segmenter.answers.clear()
    return segmenter


@pytest.fixture
def blind(golden, load):
    """A SAM that finds nothing whatever it is asked: each of its logits is negative."""
    state = golden.tiny_state()
    state["mask_decoder.output_upscaling.3.bias"] += 100  # GELU then leaves all as it is
    for candidate in range(4):
        state[f"mask_decoder.output_hypernetworks_mlps.{candidate}.layers.2.bias"] -= 100
    return load(state)
