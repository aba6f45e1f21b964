"""Episodes in the order of the reference loaders (HSNet, Matcher, GF-SAM).

They draw with NumPy's global generator, seeded once, in one process: every list depends on how many
numbers were drawn before. The same stream is used here, without the global state.
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
    "the reference's draws, but a support that was drawn already is drawn again; the same list for "
    "one shot"
)
PROMPT_SET_MEANING = (
    "IPSeg's setting: the same prompts for all pictures of a class, counted by image at 1024 x "
    "1024; its own sets, chosen by hand, were not published, so they are drawn with the seed"
)

_IRREPRODUCIBLE = {
    "sansa": "its release draws in six worker processes, each with a state of NumPy's generator "
    "that depends on how many numbers PyTorch drew while its network was built. With "
    "--num_workers 0 it draws the list of the reference, which is the empty rule"
}
_SEEDS = 2**32  # what NumPy's legacy generator can be seeded with


class Drawn(NamedTuple):
    """One episode as names.

    Attributes:
        class_id: as the benchmark numbers its classes.
        query: name of the picture that is asked about.
        supports: names of the examples, in the order they were drawn.
    """

    class_id: int
    query: str
    supports: tuple[str, ...]


def check_request(benchmark: Benchmark, fold: str, sampling: Sampling) -> None:
    """Refuses a fold, a rule, a shot or a seed that cannot be.

    Raises:
        SourceError: the benchmark has no such fold, knows no such rule, or the rule cannot be
            reproduced (says why).
        ConfigError: no support is asked for, or the seed is none of the legacy generator.
    """
    if fold not in benchmark.folds:
        raise SourceError(
            f"{benchmark.name} has no fold '{fold}'; it has {', '.join(benchmark.folds)}"
        )
    if sampling.rule in _IRREPRODUCIBLE:
        raise SourceError(
            f"the episodes of rule '{sampling.rule}' cannot be drawn again: "
            f"{_IRREPRODUCIBLE[sampling.rule]}"
        )
    check_rule(benchmark, sampling)
    if sampling.shot < 1:
        raise ConfigError(f"shot is {sampling.shot}; an episode shows at least one example")
    if not 0 <= sampling.seed < _SEEDS:
        raise ConfigError(f"seed is {sampling.seed}; it must be from 0 to {_SEEDS - 1}")


def draw_by_class(
    images: Mapping[int, Sequence[str]], sampling: Sampling, where: str, count: int = EPISODES
) -> list[Drawn]:
    """COCO-20i's rule: a class, a query of the class, supports of the class.

    Args:
        images: class -> names of its pictures; the order of both decides what is drawn.
        sampling: shot, seed, and rule "" or "unique-supports".
        where: file of the lists, for errors.
        count: number of episodes.

    Raises:
        SourceError: a class has too few pictures.
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
    """One picture after the other; the query is drawn again, and by the reference nothing else is.

    Args:
        stream: the generator, in the state the draws before have left.
        names: of the pictures of the class, at least `check_enough` of them.
        query: which is never a support.
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
    pictures: Mapping[int, Sequence[str]], sampling: Sampling, where: str
) -> list[Drawn]:
    """Prompts drawn once for each class, then asked about its pictures in their order.

    Args:
        pictures: class -> names of its pictures.
        sampling: shot and seed; `exclude_prompt` leaves the prompts out of the queries.
        where: file of the lists, for errors.

    Raises:
        SourceError: a class has too few pictures.
    """
    stream = np.random.RandomState(sampling.seed)
    drawn = []
    for class_id, listed in pictures.items():
        names = list(dict.fromkeys(listed))
        needed = sampling.shot + 1 if sampling.exclude_prompt else sampling.shot
        if len(names) < needed:
            raise SourceError(_too_few(f"{where}: class {class_id}", len(names), needed))
        order = stream.choice(len(names), sampling.shot, replace=False)
        supports = tuple(names[i] for i in order)
        shown = supports if sampling.exclude_prompt else ()
        drawn += [Drawn(class_id, name, supports) for name in names if name not in shown]
    return drawn


def check_enough(names: Sequence[str], sampling: Sampling, where: str) -> None:
    """Refuses a class of which the supports could never be drawn; the reference runs for ever.

    Raises:
        SourceError: names the class by `where`.
    """
    needed = 1 + (sampling.shot if sampling.rule == UNIQUE_SUPPORTS else 1)
    if len(set(names)) < needed:
        raise SourceError(_too_few(where, len(set(names)), needed))


def _draw(stream: np.random.RandomState, count: int) -> int:
    # Not randint: choice without replacement shuffles all positions, and so takes other numbers
    # from the stream.
    return int(stream.choice(count, 1, replace=False)[0])


def _too_few(where: str, found: int, needed: int) -> str:
    return f"{where} has {found} picture(s), too few to draw from; it needs at least {needed}"
