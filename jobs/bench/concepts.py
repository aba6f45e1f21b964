"""What looking for more concepts costs: the image is encoded once, decoded for each of them."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from ipseg.methods.ipseg.method import IPSeg
from ipseg.methods.ipseg.scoring import similarity_statistics
from ipseg.networks.models import Models
from ipseg.objects import Object
from ipseg.segmenters.frame import Frame
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.promptable import Embedding, PromptableNetwork
from ipseg.weights.tiny import random_state
from jobs.bench.counting import adopt, encoding, published
from jobs.bench.flops import Operations

COUNTS = (1, 2, 5, 10, 20, 40, 80)
SIZE = (480, 640)  # of the image whose masks are made
_MEASURED = 2  # concepts
_RUNS = 3  # the fastest counts: it was disturbed least
_SIDE = 2048  # of the matrices that the machine's rate is measured with


@dataclass(frozen=True)
class ConceptSeconds:
    """Seconds with a decoder of the published size, on this machine.

    Attributes:
        concept: seconds for one concept: points, decoding, masks of a 640 x 480 image, RLE.
        rate: operations a second, of products of large matrices.
        image: seconds that the encoders would take at that rate; they take longer, so that a
            ratio made with it is too high rather than too low.
    """

    concept: float
    rate: float
    image: float

    def ratio(self, concepts: int) -> float:
        """Cost of this many concepts over the cost of one."""
        return (self.image + concepts * self.concept) / (self.image + self.concept)


def measure(method: IPSeg, models: Models, operations: Operations) -> ConceptSeconds | None:
    """Times what is done for each concept; None for a segmenter without a network."""
    if not isinstance(method.segmenter, PromptableNetwork):
        return None
    segmenter: Any = replace(method.segmenter)
    method = replace(method, segmenter=segmenter)
    embedding = ready(segmenter, models)
    random = np.random.default_rng(0)
    grid = method.matching.grid_of(SIZE[1], SIZE[0])
    noise = random.standard_normal((_MEASURED, *grid))
    maps = [gaussian_filter(each, 3).astype(np.float32) for each in noise]
    taken = _fastest(lambda: _answer(method, embedding, maps)) / _MEASURED
    rate = _rate(models)
    return ConceptSeconds(taken, rate, sum(operations.image.values()) / rate)


def ready(segmenter: Any, models: Models) -> Embedding:  # noqa: ANN401
    """Gives a segmenter all of its network but the encoder, with random weights.

    Args:
        segmenter: not set up; its weights are of a published size.
        models: where it runs.

    Returns:
        An embedding of an image of `SIZE`, random.
    """
    adopt(segmenter, segmenter.weights)
    _, features = encoding(segmenter)
    network = published(segmenter.weights)[""]
    for name in ("image_encoder", "vision_encoder"):
        if hasattr(network, name):
            setattr(network, name, nn.Identity())
    network.to_empty(device="cpu")
    network.load_state_dict(random_state(network, segmenter.weights))
    side = segmenter._side
    patch = 4 * side // segmenter._mask_side
    segmenter._install(network, models, side, patch)
    generator = torch.Generator().manual_seed(0)
    device = models.torch_device()
    encoded = tuple(torch.randn(f.shape, generator=generator).to(device) for f in features)
    return Embedding(encoded, Frame.around(*SIZE, side, segmenter._aspect()))


def _answer(method: IPSeg, embedding: Embedding, maps: list[np.ndarray[Any, Any]]) -> None:
    height, width = SIZE
    prompts = [PointPrompt(*method.points.select(each, width, height)) for each in maps]
    answers = method.refinement.run_many(method.segmenter, embedding, prompts, maps)
    for decoded, similarity in zip(answers, maps, strict=True):
        best = method.scoring.best(decoded)
        mask = decoded.masks[0 if best is None else best]
        Object.of("", 1, mask, 0.0, evidence=similarity_statistics(similarity, mask)).record()


def _rate(models: Models) -> float:
    device = models.torch_device()
    matrix = torch.ones(_SIDE, _SIDE, device=device)

    def multiply() -> None:
        with models.autocast():
            float((matrix @ matrix)[0, 0])  # waits for the result

    return 2 * _SIDE**3 / _fastest(multiply)


def _fastest(run: Callable[[], object]) -> float:
    return min(timeit.repeat(run, number=1, repeat=_RUNS))
