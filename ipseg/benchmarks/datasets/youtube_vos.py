"""YouTube-VOS, semi-supervised: the mask of an object's first frame is given, wherever that is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import files_by_class
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.ground_truth import read_label_map
from ipseg.benchmarks.layout import plain_name
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.storage.files import read_bytes

log = logging.getLogger("ipseg")

_META = "meta.json"
# The categories of the training set; those of the others are unseen.
_SEEN = """
airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle
earless_seal elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife
leopard lion lizard monkey motorbike mouse others owl paddle parachute parrot penguin person plant
rabbit raccoon sedan shark sheep sign skateboard snail snake snowboard squirrel surfboard
tennis_racket tiger toilet train truck turtle umbrella whale zebra
"""
SEEN = frozenset(_SEEN.split())


@dataclass(frozen=True)
class Tracked:
    """One object.

    Attributes:
        category: as in meta.json.
        frames: that list it, the first one is the support.
    """

    category: str
    frames: tuple[Example, ...]


class YoutubeVosBenchmark(Benchmark):
    """Every object of every video is a class, `<video>/<number>`; folds are kinds of categories.

    So the mean over folds of J&F is the server's G: the mean of J and F over seen and unseen ones.
    An object's support is the first frame that meta.json lists for it, its queries are the others
    that it lists. Where not every listed frame has a label map, as in the sets for the server,
    nothing can be compared.
    """

    name: ClassVar[str] = "youtube-vos"
    title: ClassVar[str] = "YouTube-VOS"
    folds: ClassVar[tuple[str, ...]] = ("seen", "unseen")
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/<video>/00000.jpg    ROOT may also be the folder above valid/\n"
        "ROOT/Annotations/<video>/00000.png   value = object; in the sets for the server only\n"
        "                                     frames in which an object is listed first\n"
        "ROOT/meta.json                       the objects of each video, and their frames\n"
        "Get it from youtube-vos.org."
    )
    places: ClassVar[tuple[str, ...]] = (
        *("", "valid", "YouTube-VOS/valid", "YouTube/valid", "ytbvos18/val", "YouTubeVOS/valid"),
    )
    needed: ClassVar[tuple[str, ...]] = ("JPEGImages/", "Annotations/", _META)
    one_shot: ClassVar[tuple[str, ...]] = ("",)
    protocol: ClassVar[Protocol] = Protocol(formula="G", given_mask=True, boundaries=True)
    formulas: ClassVar[tuple[str, ...]] = ("G", "J", "F")

    def check(self) -> None:
        """Lists all frames and reads the label map in which each object is first.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        self._objects  # noqa: B018  (reading it is the check)

    def classes(self, fold: str) -> dict[int, str]:
        """Number in the order of videos and objects -> `<video>/<number>`."""
        named = enumerate(self._objects.items())
        return {number: name for number, (name, each) in named if _fold_of(each.category) == fold}

    def _tasks(self, fold: str, sampling: Sampling) -> Iterator[Task]:
        objects = list(self._objects.values())
        for class_id in self.classes(fold):
            support, *queries = objects[class_id].frames
            for query in queries:
                yield class_id, query, (support,)

    @cached_property
    def _objects(self) -> dict[str, Tracked]:
        """`<video>/<number>` -> that object, in order."""
        root = self._base
        images, maps = (files_by_class(f"{root}/{n}") for n in ("JPEGImages", "Annotations"))
        values_in = cache(lambda url: frozenset(np.unique(read_label_map(url)).tolist()))
        found: dict[str, Tracked] = {}
        without = 0
        for video, objects in sorted(_videos(f"{root}/{_META}").items()):
            files = images.get(video, {}), maps.get(video, {})
            of_video = _Video(root, video, *files, values_in)
            for number, about in sorted(objects.items(), key=lambda item: int(item[0])):
                found[f"{video}/{number}"] = of_video.tracked(number, about)
            without += not all(
                example.ground_truth
                for number in objects
                for example in found[f"{video}/{number}"].frames
            )
        if not without:
            return found
        log.info(
            "%s: %d of %d videos have no ground truth but where objects are listed first, so "
            "nothing is measured",
            *(root, without, len({name.rpartition("/")[0] for name in found})),
        )
        return {name: Tracked(each.category, _unknown(each.frames)) for name, each in found.items()}


@dataclass(frozen=True)
class _Video:
    """The files of one video: name -> address; and what values a label map has."""

    root: str
    name: str
    images: Mapping[str, str]
    maps: Mapping[str, str]
    values_in: Callable[[str], frozenset[int]]

    def tracked(self, number: str, about: Mapping[str, Any]) -> Tracked:
        """An object by its entry in meta.json."""
        where = f"{self.root}/{_META}: object {number} of video '{self.name}'"
        frames, category = about.get("frames"), about.get("category")
        if not isinstance(category, str) or not isinstance(frames, list) or not frames:
            raise SourceError(f"{where} has no category or no frames")
        examples = [self._example(plain_name(str(frame), where), number) for frame in frames]
        first = examples[0].ground_truth
        if not first:
            raise SourceError(
                f"{self.root}/Annotations/{self.name}/{frames[0]}.png is missing, in which {where} "
                f"is first; unpack the archive again"
            )
        label_map = first.rpartition("#")[0]
        if int(number) not in self.values_in(label_map):
            raise SourceError(
                f"{label_map} has no pixel of value {number}, but is first of {where}"
            )
        return Tracked(category, tuple(examples))

    def _example(self, frame: str, number: str) -> Example:
        image = self.images.get(f"{frame}.jpg")
        if image is None:
            raise SourceError(
                f"{self.root}/JPEGImages/{self.name}/{frame}.jpg is missing, which {_META} lists; "
                f"unpack the archive again"
            )
        label_map = self.maps.get(f"{frame}.png")
        address = f"{label_map}#label={number}" if label_map else ""
        return Example(f"JPEGImages/{self.name}/{frame}.jpg", image, address)


def _fold_of(category: str) -> str:
    return "seen" if category in SEEN else "unseen"


def _unknown(frames: tuple[Example, ...]) -> tuple[Example, ...]:
    """The same without ground truth of the queries: a label map of a later object lacks it."""
    return (frames[0], *(Example(each.key, each.uri, "") for each in frames[1:]))


def _videos(url: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Video -> number of an object -> what meta.json says of it."""
    try:
        videos = json.loads(read_bytes(url))["videos"]
        found = {
            plain_name(video, url): {str(int(n)): dict(o) for n, o in about["objects"].items()}
            for video, about in videos.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{url} is not as YouTube-VOS has it: {error!r}") from error
    if not any(found.values()):
        raise SourceError(f"{url} lists no object")
    return found
