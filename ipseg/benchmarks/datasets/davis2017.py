"""DAVIS, semi-supervised: the masks of the first frame are given, the others are queries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import numpy as np

from ipseg.benchmarks.benchmark import Benchmark, Sampling, Task
from ipseg.benchmarks.datasets.class_folders import stem
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.ground_truth import read_label_map
from ipseg.benchmarks.layout import read_names
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import SourceError
from ipseg.storage.walk import list_files
from ipseg.vision.label_values import smoothed_values

log = logging.getLogger("ipseg")

_VOID = 255


class Davis2017Benchmark(Benchmark):
    """Every object of every sequence is a class, `<sequence>/<index>`, in the order of the list.

    Episodes are in the order of sequences, then of objects, then of frames. The first frame is the
    support; neither it nor the last is a query. Void pixels (255) count as background, as in the
    official evaluation of this task.
    """

    name: ClassVar[str] = "davis-2017"
    title: ClassVar[str] = "DAVIS-2017"
    folds: ClassVar[tuple[str, ...]] = ("val",)
    layout: ClassVar[str] = (
        "ROOT/JPEGImages/480p/<sequence>/00000.jpg    ROOT may also be the folder above\n"
        "ROOT/Annotations/480p/<sequence>/00000.png   DAVIS/2017 or DAVIS17/trainval\n"
        "ROOT/ImageSets/2017/val.txt                  every sequence listed must exist\n"
        "Get DAVIS-2017-trainval-480p.zip from davischallenge.org."
    )
    places: ClassVar[tuple[str, ...]] = (
        *("", "DAVIS/2017", "2017", "data/DAVIS/2017", "DAVIS"),
        *("trainval", "DAVIS17/trainval", "DAVIS/2017/trainval"),
    )
    needed: ClassVar[tuple[str, ...]] = (
        *("JPEGImages/480p/", "Annotations/480p/", "ImageSets/2017/val.txt"),
    )
    one_shot: ClassVar[tuple[str, ...]] = ("",)
    protocol: ClassVar[Protocol] = Protocol(formula="JF", given_mask=True, boundaries=True)
    formulas: ClassVar[tuple[str, ...]] = ("JF", "J", "F")

    def check(self) -> None:
        """Lists all frames and reads the first label map of each sequence.

        Raises:
            SourceError: as `Benchmark.check`.
        """
        self._objects  # noqa: B018  (reading it is the check)

    def classes(self, fold: str) -> dict[int, str]:
        """Number in the order of the list -> `<sequence>/<index>`."""
        return dict(enumerate(self._objects))

    def _tasks(self, fold: str, sampling: Sampling) -> Iterator[Task]:
        for class_id, frames in enumerate(self._objects.values()):
            for query in frames[1:-1]:
                yield class_id, query, frames[:1]

    @cached_property
    def _objects(self) -> dict[str, list[Example]]:
        """`<sequence>/<index>` -> that object in every frame."""
        root, listed = self._base, self.needed[-1]
        names = read_names(f"{root}/{listed}")
        images = {n: list_files(f"{root}/JPEGImages/480p/{n}", "*.jpg") for n in names}
        labels = {n: list_files(f"{root}/Annotations/480p/{n}", "*.png") for n in names}
        if absent := [n for n in names if not images[n] or not labels[n]]:
            raise SourceError(
                f"{root} is not all of {self.title}: {len(absent)} of {len(names)} sequences in "
                f"{listed} have no frames or no annotations ({', '.join(absent[:5])}); a score "
                f"over the rest would not be the benchmark's. Unpack the archive again"
            )
        return {
            f"{name}/{index}": [
                Example(
                    f"JPEGImages/480p/{name}/{image.rpartition('/')[2]}",
                    image,
                    f"{label_map}#label={values}",
                )
                for image, label_map in zip(images[name], labels[name], strict=True)
            ]
            for name in names
            for index, values in self._values(
                _indices(root, name, images[name], labels[name])
            ).items()
        }

    def _values(self, indices: list[int]) -> dict[int, str]:
        """Object -> values of its pixels, as in an address of ground truth."""
        return {index: str(index) for index in indices}


class Davis2016Benchmark(Davis2017Benchmark):
    """All objects of a sequence are one, `<sequence>/1`, in the sequences of the list of 2016."""

    name: ClassVar[str] = "davis-2016"
    title: ClassVar[str] = "DAVIS-2016"
    layout: ClassVar[str] = Davis2017Benchmark.layout.replace(
        "ImageSets/2017/val.txt", "ImageSets/2016/val.txt"
    )
    needed: ClassVar[tuple[str, ...]] = (
        *("JPEGImages/480p/", "Annotations/480p/", "ImageSets/2016/val.txt"),
    )

    def _values(self, indices: list[int]) -> dict[int, str]:
        return {1: ",".join(map(str, indices))}


def _indices(root: str, name: str, images: list[str], labels: list[str]) -> list[int]:
    """The objects of a sequence: values in its first label map, once all frames are there."""
    frames = [stem(path) for path in images]
    maps = [stem(path) for path in labels]
    if odd := sorted(set(frames) ^ set(maps)):
        side = "Annotations" if odd[0] in frames else "JPEGImages"
        raise SourceError(
            f"frame {odd[0]} of sequence '{name}' is missing in {root}/{side}/480p/{name} "
            f"({len(odd)} frame(s) have no counterpart); unpack the archive again"
        )
    if len(frames) < 3:
        raise SourceError(
            f"{root}/JPEGImages/480p/{name} has {len(frames)} frame(s); without the first and the "
            f"last, there is nothing to evaluate"
        )
    first = read_label_map(labels[0])
    objects = [int(i) for i in np.unique(first) if i not in (0, _VOID)]
    if not objects:
        raise SourceError(f"{labels[0]} has no object; the first frame must contain all of them")
    if wrong := smoothed_values(first, (0, _VOID)):
        raise SourceError(f"{labels[0]} cannot be a label map: {wrong}")
    if objects != list(range(1, len(objects) + 1)):
        log.warning(
            "%s has the objects %s, with gaps between them; each counts as an object",
            *(labels[0], ", ".join(map(str, objects))),
        )
    return objects
