"""FSS-SAM3's own episodes (repository WongKinYiu/FSS-SAM3, `data/dataset_tool.py`, commit efedad3).

There are two pools for each class: targets contain the class, supports contain enough of it. A
Python generator seeded with seed + fold draws class, target and supports. The prompt of a support
is the box of one object, so its mask here is that object; the mask of a target is the whole class.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from ipseg.benchmarks.annotations.coco_instances import Instances
from ipseg.benchmarks.annotations.coco_splits import fold_classes
from ipseg.benchmarks.annotations.label_index import Coding, count_labels
from ipseg.benchmarks.benchmark import Sampling, Task
from ipseg.benchmarks.datasets.drawing import EPISODES
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.ground_truth import read_label_map, rle_address
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.rows import Mask
from ipseg.vision.masks import RLE, decode_rle, encode_rle

RULE = "fss-sam3"
PROTOCOL = Protocol(formula="A'")  # at the original size; reported together with D

_ENOUGH = 1000  # a support has more pixels than this
_VOID = 255

Name = TypeVar("Name", int, str)


def draw_from_pools(
    targets: Mapping[int, Sequence[Name]],
    supports: Mapping[int, Sequence[Name]],
    fold: int,
    sampling: Sampling,
    where: str,
) -> list[tuple[int, Name, list[Name]]]:
    """1000 episodes of a fold: class, target, then supports, all different from each other.

    Classes without targets, or with fewer than shot + 1 supports, are left out. Draws depend on the
    order of classes and names.

    Args:
        targets: class of the fold -> names.
        supports: class of the fold -> names.
        fold: number, which is added to the seed.
        sampling: shot and seed.
        where: the file with the pools, for the error.

    Raises:
        SourceError: no class is left.
    """
    classes = [c for c, names in targets.items() if names and len(supports[c]) > sampling.shot]
    if not classes:
        raise SourceError(
            f"{where}: no class of fold {fold} has a target and {sampling.shot + 1} images with "
            f"more than {_ENOUGH} pixels of it"
        )
    stream = random.Random(sampling.seed + fold)  # noqa: S311  (the reference's draws)
    drawn = []
    for _ in range(EPISODES):
        class_id = stream.choice(classes)
        target = stream.choice(targets[class_id])
        others = [name for name in supports[class_id] if name != target]
        drawn.append((class_id, target, stream.sample(others, sampling.shot)))
    return drawn


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
            SourceError: as `Instances.annotations`.
            OSError: the file cannot be read.
        """
        self._instances, self._base, self._where = instances, base, where
        # (class, image) -> annotation numbers in the order of the file, of all objects and of those
        # large enough for a support.
        self._objects: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._large: dict[tuple[int, int], list[int]] = defaultdict(list)
        order: dict[int, list[int]] = defaultdict(list)
        for annotation in instances.annotations():
            order[annotation.class_id].append(annotation.image_id)
            place = (annotation.class_id, annotation.image_id)
            if not annotation.crowd:
                self._objects[place].append(annotation.number)
                if annotation.area > _ENOUGH:
                    self._large[place].append(annotation.number)
        # pycocotools lists the images of a category in the order of a set of their ids.
        self._images = {class_id: list(set(images)) for class_id, images in order.items()}

    def tasks(self, fold: int, sampling: Sampling) -> Iterator[Task]:
        """The episodes of a fold.

        An object whose polygon contains no pixel, or cannot be used, gives a target with an empty
        mask, so that all other draws stay; the release uses the next episode instead.

        Raises:
            SourceError: there is nothing to draw from.
            OSError: the file cannot be read.
        """
        drawn = self._draw(fold, sampling)
        wanted = {n for _, images in drawn for _, numbers in images for n in numbers}
        masks = {}
        for annotation in self._instances.annotations():
            if annotation.number in wanted:
                with self._instances.dropped.record():
                    masks[annotation.number] = self._instances.rle(annotation)
        for class_id, images in drawn:
            query, *supports = (
                self._example(image, [masks[n] for n in numbers if n in masks])
                for image, numbers in images
            )
            yield class_id, query, supports

    def _draw(self, fold: int, sampling: Sampling) -> list[tuple[int, list[tuple[int, list[int]]]]]:
        """Class, then target and supports: each an image and the objects of its mask."""
        objects, large = self._objects, self._large
        stream = random.Random(sampling.seed)  # noqa: S311  (the reference's draws)
        for number in range(fold + 1):
            targets, supports = (
                {
                    c: [i for i in self._images.get(c, ()) if (c, i) in of]
                    for c in fold_classes(number)
                }
                for of in (objects, large)
            )
            drawn = [
                (
                    c,
                    [(target, objects[c, target])]
                    + [(image, [stream.choice(large[c, image])]) for image in chosen],
                )
                for c, target, chosen in draw_from_pools(
                    targets, supports, number, sampling, self._where
                )
            ]
        return drawn

    def _example(self, image: int, masks: Sequence[RLE]) -> Example:
        path = self._instances.images[image].path
        union = np.zeros(self._instances.images[image].size, np.bool_)
        for mask in masks:
            union |= decode_rle(mask)
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

    def tasks(self, fold: int, classes: Collection[int], sampling: Sampling) -> Iterator[Task]:
        """The episodes of a fold.

        Args:
            fold: its number.
            classes: of the fold, in order.
            sampling: shot and seed.

        Raises:
            SourceError: object and class maps contradict each other, or there is nothing to draw
                from.
            OSError: a map cannot be read.
        """
        targets, supports = (
            {
                c: [n for n, pixels in self._pixels.items() if pixels.get(c, 0) > few]
                for c in classes
            }
            for few in (0, _ENOUGH)
        )
        support = cache(self._support)
        for class_id, target, names in draw_from_pools(
            targets, supports, fold, sampling, self._base
        ):
            query = self._example(target, f"{self._labels(target)}#label={class_id}")
            yield class_id, query, [support(name, class_id) for name in names]

    def _support(self, name: str, class_id: int) -> Example:
        return self._example(name, rle_address(encode_rle(self._largest(name, class_id))))

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
