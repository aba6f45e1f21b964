"""Drawing episodes as the reference loaders do (HSNet, Matcher, GF-SAM).

They draw from NumPy's global generator, seeded once, in one process, so each draw depends on how
many came before it. The draws here are the same, but without global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Sampling, check_rule
from ipseg.errors import ConfigError, SourceError

EPISODES = 1000  # of each fold of COCO-20i and PASCAL-5i
UNIQUE_SUPPORTS = "unique-supports"
PROMPT_SET = "prompt-set"
FSS_SAM3 = "fss-sam3"
UNIQUE_SUPPORTS_MEANING = (
    "the reference's draws, but a support that is already drawn is rejected and another one drawn; "
    "the same list for one shot"
)
PROMPT_SET_MEANING = (
    "IPSeg's setting: the same prompts for all images of a class, IoU averaged over images at 1024 "
    "x 1024; its hand-picked sets were not published, so prompts are drawn with the seed"
)

_IRREPRODUCIBLE = {
    "sansa": "its release draws in six worker processes, each with a state of NumPy's generator "
    "that depends on how many numbers PyTorch drew while its network was built. With "
    "--num_workers 0 it draws the list of the reference, which is the empty rule"
}
_SEEDS = 2**32  # seeds of NumPy's legacy generator are below this


class Drawn(NamedTuple):
    """One episode as names.

    Attributes:
        class_id: the benchmark's number for the class.
        query: name of the image to segment.
        supports: names of the examples, in the order in which they were drawn.
    """

    class_id: int
    query: str
    supports: tuple[str, ...]


def check_request(benchmark: Benchmark, fold: str, sampling: Sampling) -> None:
    """Refuses a fold, rule, shot or seed that is not possible.

    Raises:
        SourceError: the benchmark has no such fold or rule, or the rule cannot be reproduced (says
            why).
        ConfigError: shot is below 1, or the legacy generator cannot be given this seed.
    """
    if fold not in benchmark.folds:
        raise SourceError(
            f"{benchmark.name} has no fold '{fold}'; it has {', '.join(benchmark.folds)}"
        )
    if sampling.rule in _IRREPRODUCIBLE:
        raise SourceError(
            f"the episodes of rule '{sampling.rule}' cannot be reproduced: "
            f"{_IRREPRODUCIBLE[sampling.rule]}"
        )
    check_rule(benchmark, sampling)
    if sampling.shot < 1:
        raise ConfigError(f"shot is {sampling.shot}; an episode needs at least one support")
    if not 0 <= sampling.seed < _SEEDS:
        raise ConfigError(f"seed is {sampling.seed}; it must be from 0 to {_SEEDS - 1}")


def draw_by_class(
    images: Mapping[int, Sequence[str]], sampling: Sampling, where: str, count: int = EPISODES
) -> list[Drawn]:
    """COCO-20i's rule: a class, a query of the class, supports of the class.

    Args:
        images: class -> names of its images; the draws depend on the order of both.
        sampling: shot, seed, and rule "" or "unique-supports".
        where: the file with the lists, for errors.
        count: number of episodes.

    Raises:
        SourceError: a class has too few images.
    """
    for class_id, names in images.items():
        check_enough(names, sampling, f"{where}: class {class_id}")
    stream = np.random.RandomState(sampling.seed)
    classes = list(images)
    drawn = []
    for _ in range(count):
        class_id = classes[_draw(stream, len(classes))]
        names = images[class_id]
        query = names[_draw(stream, len(names))]
        drawn.append(Drawn(class_id, query, draw_supports(stream, names, query, sampling)))
    return drawn


def draw_supports(
    stream: np.random.RandomState, names: Sequence[str], query: str, sampling: Sampling
) -> tuple[str, ...]:
    """Draws one image after the other with replacement, rejecting the query.

    Args:
        stream: the generator, in the state that earlier draws left.
        names: of the images of the class; `check_enough` has accepted them.
        query: never a support.
        sampling: shot, and rule "" or "unique-supports".
    """
    unique = sampling.rule == UNIQUE_SUPPORTS
    supports: list[str] = []
    while len(supports) < sampling.shot:
        name = names[_draw(stream, len(names))]
        if name != query and not (unique and name in supports):
            supports.append(name)
    return tuple(supports)


def draw_prompts(
    images: Mapping[int, Sequence[str]], sampling: Sampling, where: str
) -> list[Drawn]:
    """Draws prompts once for each class and uses them for all images of the class, in order.

    Args:
        images: class -> names of its images.
        sampling: shot and seed; `exclude_prompt` leaves the prompts out of the queries.
        where: the file with the lists, for errors.

    Raises:
        SourceError: a class has too few images.
    """
    stream = np.random.RandomState(sampling.seed)
    drawn = []
    for class_id, listed in images.items():
        names = list(dict.fromkeys(listed))
        needed = sampling.shot + 1 if sampling.exclude_prompt else sampling.shot
        if len(names) < needed:
            raise SourceError(_too_few(f"{where}: class {class_id}", len(names), needed))
        order = stream.choice(len(names), sampling.shot, replace=False)
        supports = tuple(names[i] for i in order)
        excluded = supports if sampling.exclude_prompt else ()
        drawn += [Drawn(class_id, name, supports) for name in names if name not in excluded]
    return drawn


def check_enough(names: Sequence[str], sampling: Sampling, where: str) -> None:
    """Refuses a class with too few images to draw from; the reference would loop forever.

    Raises:
        SourceError: starts with `where`.
    """
    needed = 1 + (sampling.shot if sampling.rule == UNIQUE_SUPPORTS else 1)
    if len(set(names)) < needed:
        raise SourceError(_too_few(where, len(set(names)), needed))


def _draw(stream: np.random.RandomState, count: int) -> int:
    # Not randint: choice without replacement permutes all positions, so that the generator is in
    # another state afterwards.
    return int(stream.choice(count, 1, replace=False)[0])


def _too_few(where: str, found: int, needed: int) -> str:
    return f"{where} has {found} image(s), too few to draw from; it needs at least {needed}"
