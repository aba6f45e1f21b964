"""Drawing episodes as the reference loaders do (HSNet, Matcher, GF-SAM).

They draw from NumPy's global generator, seeded once, in one process, so each draw depends on how
many came before it. The draws here are the same, but without global state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ipseg.benchmarks.benchmark import Sampling, Task
from ipseg.benchmarks.episode import Example
from ipseg.errors import SourceError

EPISODES = 1000  # of each fold of COCO-20i and PASCAL-5i
UNIQUE_SUPPORTS = "unique-supports"
PROMPT_SET = "prompt-set"
RULES = {
    UNIQUE_SUPPORTS: "the reference's draws, but a support that is already drawn is rejected and "
    "another one drawn; the same list for one shot",
    PROMPT_SET: "IPSeg's setting: the same prompts for all images of a class, IoU averaged over "
    "images at 1024 x 1024; its hand-picked sets were not published, so prompts are drawn with the "
    "seed",
}

Item = TypeVar("Item")


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


def with_examples(drawn: Iterable[Drawn], example: Callable[[str, int], Example]) -> Iterator[Task]:
    """The same with the example of each name and class."""
    return ((c, example(query, c), [example(s, c) for s in names]) for c, query, names in drawn)


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
    check_enough(images, sampling, where)
    stream = np.random.RandomState(sampling.seed)
    classes = list(images)
    drawn = []
    for _ in range(count):
        class_id = pick(stream, classes)
        query, *supports = draw_images(stream, images[class_id], sampling)
        drawn.append(Drawn(class_id, query, tuple(supports)))
    return drawn


def draw_for(
    queries: Iterable[tuple[str, int]],
    images: Mapping[int, Sequence[str]],
    sampling: Sampling,
    where: str,
) -> list[Drawn]:
    """Draws only the supports, for queries that a list or the data set gives.

    Args:
        queries: name and class of each.
        images: as for `draw_by_class`.
        sampling: as for `draw_by_class`.
        where: as for `draw_by_class`.

    Raises:
        SourceError: a class has too few images.
    """
    check_enough(images, sampling, where)
    stream = np.random.RandomState(sampling.seed)
    return [
        Drawn(class_id, query, draw_supports(stream, images[class_id], query, sampling))
        for query, class_id in queries
    ]


def draw_images(
    stream: np.random.RandomState, names: Sequence[str], sampling: Sampling
) -> tuple[str, ...]:
    """Draws a query, then its supports as `draw_supports`."""
    query = pick(stream, names)
    return query, *draw_supports(stream, names, query, sampling)


def draw_supports(
    stream: np.random.RandomState, names: Sequence[str], query: str, sampling: Sampling
) -> tuple[str, ...]:
    """Draws one image after the other with replacement, rejecting the query.

    Args:
        stream: the generator, in the state that earlier draws left.
        names: of the images of the class; `check_enough` has accepted them.
        query: never a support.
        sampling: shot, and the rule, of which only "unique-supports" matters.
    """
    unique = sampling.rule == UNIQUE_SUPPORTS
    supports: list[str] = []
    while len(supports) < sampling.shot:
        name = pick(stream, names)
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
        _check_count(f"{where}: class {class_id}", len(names), needed)
        order = stream.choice(len(names), sampling.shot, replace=False)
        supports = tuple(names[i] for i in order)
        excluded = supports if sampling.exclude_prompt else ()
        drawn += [Drawn(class_id, name, supports) for name in names if name not in excluded]
    return drawn


def check_enough(images: Mapping[int, Sequence[str]], sampling: Sampling, where: str) -> None:
    """Refuses a class with too few images to draw from; the reference would loop forever.

    Raises:
        SourceError: starts with `where`.
    """
    needed = 1 + (sampling.shot if sampling.rule == UNIQUE_SUPPORTS else 1)
    for class_id, names in images.items():
        _check_count(f"{where}: class {class_id}", len(set(names)), needed)


def pick(stream: np.random.RandomState, items: Sequence[Item]) -> Item:
    """Draws one of some items."""
    # Not randint: choice without replacement permutes all positions, so that the generator is in
    # another state afterwards.
    return items[int(stream.choice(len(items), 1, replace=False)[0])]


def _check_count(where: str, found: int, needed: int) -> None:
    if found < needed:
        raise SourceError(
            f"{where} has {found} image(s), too few to draw from; it needs at least {needed}"
        )
