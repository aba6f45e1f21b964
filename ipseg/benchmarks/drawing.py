"""Episodes in the order of the reference loaders (HSNet, Matcher, GF-SAM).

They draw with NumPy's global generator, seeded once, in one process: every list depends on how many
numbers were drawn before. The same stream is used here, without the global state.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Sampling
from ipseg.benchmarks.episode import Episode
from ipseg.benchmarks.layout import check_rule
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

# Of `episode_csv`; (benchmark, fold, shot) -> sha256 of the list that the reference loaders draw
# with seed 0 from the official split files.
EPISODE_SHA256: dict[tuple[str, str, int], str] = {
    ("coco-20i", "0", 1): "d64e76674d39daf95550f01823f58a7f2996a66e87d22b6e9753bec67280a5de",
    ("coco-20i", "0", 5): "48bacd959b741fbe91f327aae0d01103f54a80b51c5c622de78c22c568a310c4",
    ("coco-20i", "1", 1): "bbda93b37fe98318e4f97287eff8e52ad3841f305538b915200bba2c8f83749a",
    ("coco-20i", "1", 5): "69afb4f68129c164ce6ac894791c79d6687b04f6d4bd6004d0d7204947e04576",
    ("coco-20i", "2", 1): "cd8c17637e5eafaa448b412614e35c2ec1f2ade95ffb16abb09c2d58cd9364aa",
    ("coco-20i", "2", 5): "f468ecc605ef0ff41509ff9564cece8c89efaf6950924a007049cdd5dd0fd7d4",
    ("coco-20i", "3", 1): "fd9882bb0af6a05c91a111c56dbc9e919a2cc824bf93da2867d673f123877c95",
    ("coco-20i", "3", 5): "f3ea7ac50c88ad86d9322d01ab75d9de64d350ba741dd704972e915d269a8bb7",
    ("fss-1000", "test", 1): "6fd7c5d5c3190ff0286daea3c4163ad02174e8204dddbae4b01eac339563ced0",
    ("fss-1000", "test", 5): "6ce57b85958281fb2fc3174baac8e9aad6b6fdfc00c0ac7d359f28f79490119e",
}

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


def episode_csv(episodes: Sequence[Episode]) -> bytes:
    r"""A list in the form that is hashed: `class_id,query,support_1,...` by key.

    No header, one episode for each line, lines end with `\n`, quotes only where they are needed.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for episode in episodes:
        supports = (support.key for support in episode.supports)
        writer.writerow((episode.class_id, episode.query.key, *supports))
    return text.getvalue().encode()


def is_published(benchmark: str, fold: str, episodes: Sequence[Episode]) -> bool | None:
    """Whether a list is the one on which the published numbers were measured.

    Returns:
        None where no list is known for this benchmark, fold and shot.
    """
    shot = episodes[0].shot if episodes else 0
    known = EPISODE_SHA256.get((benchmark, fold, shot))
    return None if known is None else hashlib.sha256(episode_csv(episodes)).hexdigest() == known


def _draw(stream: np.random.RandomState, count: int) -> int:
    # Not randint: choice without replacement shuffles all positions, and so takes other numbers
    # from the stream.
    return int(stream.choice(count, 1, replace=False)[0])


def _too_few(where: str, found: int, needed: int) -> str:
    return f"{where} has {found} picture(s), too few to draw from; it needs at least {needed}"
