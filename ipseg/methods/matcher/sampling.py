"""Sets of points to ask a segmenter with: centres of the matched ones, and subsets.

Source: Matcher (Liu et al., ICLR 2024), section 3.3; released code, `Matcher.py`, `k_means.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ipseg.methods.matcher.settings import Sampling
from ipseg.segmenters.prompt import PointPrompt

Points = npt.NDArray[np.int64]  # (n, 2) x, y in pixels

FEW = 8  # points of which all combinations are taken
_STEPS = 100  # of k-means
_TRIES = 100  # the released code tries until no cluster is empty, for ever if need be
_EPSILON = 1e-6


def prompt_sets(points: Points, settings: Sampling, concept: str) -> Iterator[list[PointPrompt]]:
    """Prompts in groups with equally many points.

    Args:
        points: matched, at least one.
        settings: of the sampling.
        concept: that they are of; with the seed, all that what is drawn depends on.
    """
    drawn = drawn_for(settings.seed, concept)
    box = bounding_box(points) if settings.box else None
    if settings.centres is not None:
        points = gathered(points, settings.centres, generator_of(drawn))
    for group in subsets(points, settings, drawn):
        labels = np.ones(group.shape[1], np.int8)
        yield [PointPrompt(each.astype(np.float32), labels, box) for each in group]


def drawn_for(*what: object) -> random.Random:
    """Random numbers that depend on nothing else."""
    return random.Random(" ".join(map(str, what)))  # noqa: S311  (no secret)


def generator_of(drawn: random.Random) -> torch.Generator:
    """The same for torch, on the CPU."""
    return torch.Generator().manual_seed(drawn.getrandbits(63))


def bounding_box(points: Points) -> npt.NDArray[np.float64]:
    """(4,) x, y, x, y of the outermost points."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def subsets(points: Points, settings: Sampling, drawn: random.Random) -> Iterator[Points]:
    """For each size (s, size, 2): random subsets, or all where there are few points.

    Args:
        points: (n, 2), at least one.
        settings: of the sampling.
        drawn: random numbers.
    """
    count = len(points)
    for size in range(min(settings.least, count), min(settings.most, count) + 1):
        if count > FEW:
            chosen = [drawn.sample(range(count), size) for _ in range(settings.subsets)]
        else:  # in the released order: by the last point first
            chosen = sorted(map(list, combinations(range(count), size)), key=lambda c: c[::-1])
        yield points[np.array(chosen)]


def gathered(points: Points, count: int, generator: torch.Generator) -> Points:
    """Up to `count` centres of points by k-means++, in whole pixels.

    Args:
        points: (n, 2), all different, at least one.
        count: of centres.
        generator: of what is drawn, on the CPU.

    Returns:
        (m, 2), without clusters that stayed empty in all tries.
    """
    return clustered(points, count, generator)[0].long().numpy()


def clustered(points: Points, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same in fractions of pixels, (m, 2) float32, and the points of each cluster, (m,)."""
    places = torch.from_numpy(points).float()
    count = min(count, len(points))
    for _ in range(_TRIES):
        centres, sizes = _k_means(places, _first_centres(places, count, generator))
        if sizes.all():
            break
    return centres[sizes > 0], sizes[sizes > 0]


def _first_centres(places: Tensor, count: int, generator: torch.Generator) -> Tensor:
    first = torch.randint(len(places), (1,), generator=generator)
    centres = places[first]
    for _ in range(count - 1):
        nearest = torch.cdist(places, centres).min(dim=1).values
        likely = (nearest + _EPSILON) ** 2
        following = torch.multinomial(likely / likely.sum(), 1, generator=generator)
        centres = torch.cat([centres, places[following]])
    return centres


def _k_means(places: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Centres after Lloyd's steps, and how many points each has; one that has none stays."""
    for _ in range(_STEPS):
        nearest = torch.cdist(places, centres).argmin(dim=1)
        sizes = torch.bincount(nearest, minlength=len(centres))
        moved = torch.stack(
            [
                places[nearest == number].mean(dim=0) if sizes[number] else centres[number]
                for number in range(len(centres))
            ]
        )
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres, sizes
