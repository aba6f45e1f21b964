"""FSS-SAM3's own episodes (repository WongKinYiu/FSS-SAM3, `data/dataset_tool.py`, commit efedad3).

There are two pools for each class: targets contain the class, supports contain enough of it. A
Python generator seeded with seed + fold draws class, target and supports. The prompt of a support
is the box of one object, so its mask here is that object; the mask of a target is the whole class.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES, Instances
from ipseg.benchmarks.annotations.coco_splits import fold_classes
from ipseg.benchmarks.annotations.label_index import Coding, count_labels
from ipseg.benchmarks.benchmark import Protocol, Sampling
from ipseg.benchmarks.datasets.drawing import EPISODES
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.ground_truth import read_label_map, rle_address
from ipseg.errors import SourceError
from ipseg.rows import Mask
from ipseg.vision.masks import RLE, decode_rle, encode_rle

PROTOCOL = Protocol(formula="A'")  # at the original size; reported together with D

_ENOUGH = 1000  # a support has more pixels than this
_VOID = 255

Name = TypeVar("Name", int, str)


@dataclass(frozen=True)
class Pools(Generic[Name]):
    """Names to draw from, by class; draws depend on their order."""

    targets: Mapping[int, Sequence[Name]]
    supports: Mapping[int, Sequence[Name]]


class PoolDraw(NamedTuple, Generic[Name]):
    """One episode as names: class, target, supports in the order they were drawn."""

    class_id: int
    target: Name
    supports: list[Name]


def draw_from_pools(
    pools: Pools[Name], fold: int, sampling: Sampling, where: str
) -> list[PoolDraw[Name]]:
    """1000 episodes of a fold: class, target, then supports, all different from each other.

    Classes without targets, or with fewer than shot + 1 supports, are left out.

    Args:
        pools: of the classes of the fold, in their order.
        fold: number, which is added to the seed.
        sampling: shot and seed.
        where: the file with the pools, for the error.

    Raises:
        SourceError: no class is left.
    """
    classes = [
        class_id
        for class_id, targets in pools.targets.items()
        if targets and len(pools.supports[class_id]) > sampling.shot
    ]
    if not classes:
        raise SourceError(
            f"{where}: no class of fold {fold} has a target and {sampling.shot + 1} images with "
            f"more than {_ENOUGH} pixels of it"
        )
    stream = random.Random(sampling.seed + fold)  # noqa: S311  (the reference's draws)
    drawn = []
    for _ in range(EPISODES):
        class_id = stream.choice(classes)
        target = stream.choice(pools.targets[class_id])
        others = [name for name in pools.supports[class_id] if name != target]
        drawn.append(PoolDraw(class_id, target, stream.sample(others, sampling.shot)))
    return drawn


@dataclass
class _Objects:
    """Objects of one class in one image: annotation numbers in the order of the file."""

    single: list[int] = field(default_factory=list)
    large: list[int] = field(default_factory=list)  # those of `single` that can be a support


class CocoPools:
    """COCO-20i: pools from the instances of val2014, without crowds.

    The object of a support is drawn from Python's global generator, seeded once for all four folds.
    So the draws of earlier folds are repeated, on the assumption that nothing else in that process
    draws from it.
    """

    def __init__(self, instances: Instances, base: str, where: str) -> None:
        """Reads all annotations.

        Args:
            instances: of val2014.
            base: folder that contains val2014/.
            where: name of the annotation file, for errors.

        Raises:
            SourceError: an annotation is malformed.
            OSError: the file cannot be read.
        """
        self._instances, self._base, self._where = instances, base, where
        self._objects: dict[int, dict[int, _Objects]] = {c: {} for c in range(len(COCO_CLASSES))}
        order: dict[int, list[int]] = {class_id: [] for class_id in self._objects}
        for annotation in instances.annotations():
            order[annotation.class_id].append(annotation.image_id)
            found = self._objects[annotation.class_id].setdefault(annotation.image_id, _Objects())
            if not annotation.crowd:
                found.single.append(annotation.number)
                if annotation.area > _ENOUGH:
                    found.large.append(annotation.number)
        # pycocotools lists the images of a category in the order of a set of their ids.
        self._images = {class_id: list(set(images)) for class_id, images in order.items()}

    def episodes(self, fold: int, sampling: Sampling) -> list[Episode]:
        """The episodes of a fold.

        An object whose polygon contains no pixel gives a target with an empty mask; the release
        uses the next episode instead.

        Raises:
            SourceError: a polygon is malformed, or there is nothing to draw from.
            OSError: the file cannot be read.
        """
        drawn, chosen = self._draw(fold, sampling)
        wanted = {number for numbers in chosen for number in numbers}
        for draw in drawn:
            wanted.update(self._objects[draw.class_id][draw.target].single)
        masks = {
            annotation.number: self._instances.rle(annotation)
            for annotation in self._instances.annotations()
            if annotation.number in wanted
        }
        episodes: list[Episode] = []
        for draw, numbers in zip(drawn, chosen, strict=True):
            target = [masks[n] for n in self._objects[draw.class_id][draw.target].single]
            supports = zip(draw.supports, numbers, strict=True)
            episodes.append(
                Episode(
                    len(episodes),
                    str(fold),
                    draw.class_id,
                    COCO_CLASSES[draw.class_id],
                    self._example(draw.target, target),
                    tuple(self._example(image, [masks[number]]) for image, number in supports),
                    sampling.seed,
                )
            )
        return episodes

    def _draw(self, fold: int, sampling: Sampling) -> tuple[list[PoolDraw[int]], list[list[int]]]:
        stream = random.Random(sampling.seed)  # noqa: S311  (the reference's draws)
        for number in range(fold + 1):
            drawn = draw_from_pools(self._pools(number), number, sampling, self._where)
            chosen = [
                [
                    stream.choice(self._objects[draw.class_id][image].large)
                    for image in draw.supports
                ]
                for draw in drawn
            ]
        return drawn, chosen

    def _pools(self, fold: int) -> Pools[int]:
        objects, images = self._objects, self._images
        return Pools(
            {c: [i for i in images[c] if objects[c][i].single] for c in fold_classes(fold)},
            {c: [i for i in images[c] if objects[c][i].large] for c in fold_classes(fold)},
        )

    def _example(self, image: int, masks: Sequence[RLE]) -> Example:
        path = self._instances.images[image].path
        union = np.logical_or.reduce([decode_rle(mask) for mask in masks])
        return Example(path, f"{self._base}/{path}", rle_address(encode_rle(union)))


class PascalPools:
    """PASCAL-5i: pools from the official val list and `SegmentationClass/`; void is background.

    The mask of a support is its largest object in `SegmentationObject/`. The published numbers are
    for seed 123.
    """

    def __init__(self, base: str, names: Iterable[str], coding: Coding) -> None:
        """Reads all label maps.

        Args:
            base: the folder VOC2012.
            names: image names in the order of the official list.
            coding: of the label maps.

        Raises:
            SourceError: a label map is missing or malformed.
            OSError: one cannot be read.
        """
        self._base = base
        self._pixels = {name: count_labels(self._labels(name), coding) for name in names}

    def episodes(self, fold: int, classes: Mapping[int, str], sampling: Sampling) -> list[Episode]:
        """The episodes of a fold.

        Args:
            fold: its number.
            classes: of the fold, id -> name.
            sampling: shot and seed.

        Raises:
            SourceError: object and class maps contradict each other, or there is nothing to draw
                from.
            OSError: a map cannot be read.
        """
        pools = Pools(
            {c: [name for name, found in self._pixels.items() if c in found] for c in classes},
            {
                c: [name for name, found in self._pixels.items() if found.get(c, 0) > _ENOUGH]
                for c in classes
            },
        )
        objects: dict[tuple[str, int], Example] = {}
        episodes: list[Episode] = []
        for class_id, target, names in draw_from_pools(pools, fold, sampling, self._base):
            for name in names:
                if (name, class_id) not in objects:
                    mask = self._largest(name, class_id)
                    objects[name, class_id] = self._example(name, rle_address(encode_rle(mask)))
            episodes.append(
                Episode(
                    len(episodes),
                    str(fold),
                    class_id,
                    classes[class_id],
                    self._example(target, f"{self._labels(target)}#label={class_id}"),
                    tuple(objects[name, class_id] for name in names),
                    sampling.seed,
                )
            )
        return episodes

    def _largest(self, name: str, class_id: int) -> Mask:
        url = f"{self._base}/SegmentationObject/{name}.png"
        classes, objects = read_label_map(self._labels(name)), read_label_map(url)
        if classes.shape != objects.shape:
            raise SourceError(f"{url} and {self._labels(name)} differ in size")
        inside = classes == class_id
        numbers, sizes = np.unique(objects, return_counts=True)
        size_of = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
        found = [n for n in np.unique(objects[inside]).tolist() if n not in (0, _VOID)]
        if not found:
            raise SourceError(
                f"{url} has no object where {self._labels(name)} has class {class_id}"
            )
        return np.asarray((objects == max(found, key=size_of.__getitem__)) & inside)

    def _labels(self, name: str) -> str:
        return f"{self._base}/SegmentationClass/{name}.png"

    def _example(self, name: str, ground_truth: str) -> Example:
        key = f"JPEGImages/{name}.jpg"
        return Example(key, f"{self._base}/{key}", ground_truth)
