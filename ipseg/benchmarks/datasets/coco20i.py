"""COCO-20i: four folds of twenty classes of COCO 2014 (as arranged by HSNet)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.annotations import prepare_coco
from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES, Instances
from ipseg.benchmarks.annotations.coco_splits import FOLDS, fold_classes, read_split
from ipseg.benchmarks.annotations.prepare_coco import LAYOUT, PLACES, VAL_INSTANCES
from ipseg.benchmarks.benchmark import PreparedBenchmark, Protocol, Sampling
from ipseg.benchmarks.datasets.drawing import (
    FSS_SAM3,
    PROMPT_SET,
    PROMPT_SET_MEANING,
    UNIQUE_SUPPORTS,
    UNIQUE_SUPPORTS_MEANING,
    check_request,
    draw_by_class,
    draw_prompts,
)
from ipseg.benchmarks.datasets.fss_sam3 import PROTOCOL as FSS_SAM3_PROTOCOL
from ipseg.benchmarks.datasets.fss_sam3 import CocoPools
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import is_file, locate
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder
from ipseg.storage.walk import iterate_files

_MAPS = "annotations/val2014/"


class Coco20iBenchmark(PreparedBenchmark):
    """Classes 0 to 79 in the order of COCO's ids; fold f tests f, f + 4, f + 8, ...

    A query is never its own support, but may be a support of another query:
    `Sampling.exclude_prompt` matters only for rule "prompt-set".

    The images of a class are listed in `splits/`. Draws depend on the order of that list, so only
    the official files give the published episodes (`ipseg.benchmarks.published.episode_lists`).
    """

    name: ClassVar[str] = "coco-20i"
    title: ClassVar[str] = "COCO-20i"
    folds: ClassVar[tuple[str, ...]] = tuple(str(fold) for fold in range(FOLDS))
    layout: ClassVar[str] = LAYOUT
    rules: ClassVar[dict[str, str]] = {
        UNIQUE_SUPPORTS: UNIQUE_SUPPORTS_MEANING,
        PROMPT_SET: PROMPT_SET_MEANING,
        FSS_SAM3: "FSS-SAM3's draws from the official annotations; a support is one object of "
        "more than 1000 pixels",
    }
    protocol: ClassVar[Protocol] = Protocol(formula="A", side=518)  # Matcher's

    def protocol_of(self, rule: str) -> Protocol:
        """Matcher's; for "fss-sam3" FSS-SAM3's, for "prompt-set" IPSeg's."""
        if rule == FSS_SAM3:
            return FSS_SAM3_PROTOCOL
        if rule == PROMPT_SET:
            return Protocol(formula="B", side=1024, ground_truth_resize="linear")
        return self.protocol

    def check(self) -> None:
        """Reads the splits and checks that every image and label map they name exists.

        If maps or splits are missing, the official annotations are enough, but only for rule
        "fss-sam3".

        Raises:
            SourceError: as `Benchmark.check`.
        """
        missing = self._missing(self.folds)
        if missing and is_file(f"{self._base}/{VAL_INSTANCES}"):
            return
        if missing:
            raise SourceError(self._incomplete(missing))
        named = {
            name for fold in self.folds for names in self._lists(fold).values() for name in names
        }
        self._check_files(named)
        self._check_files({_map_of(name) for name in named})

    def classes(self, fold: str) -> dict[int, str]:
        """Contiguous id -> name."""
        return {class_id: COCO_CLASSES[class_id] for class_id in fold_classes(int(fold))}

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """1000 episodes; with "prompt-set" one for each image of each class.

        Raises:
            SourceError: as `Benchmark.episodes`, or what the rule needs is missing.
            ConfigError: shot or seed is out of range.
        """
        check_request(self, fold, sampling)
        if sampling.rule == FSS_SAM3:
            return self._pools.episodes(int(fold), sampling)
        if missing := self._missing([fold]):
            raise SourceError(self._incomplete(missing))
        lists = self._lists(fold)
        draw = draw_prompts if sampling.rule == PROMPT_SET else draw_by_class
        drawn = draw(lists, sampling, self._split_of(fold) or "")
        return [
            Episode(
                number,
                fold,
                class_id,
                COCO_CLASSES[class_id],
                self._example(query, class_id),
                tuple(self._example(support, class_id) for support in supports),
                sampling.seed,
            )
            for number, (class_id, query, supports) in enumerate(drawn)
        ]

    def prepare(self, out: str | None = None) -> list[str]:
        """Label maps and splits; see `prepare_coco.prepare`."""
        return prepare_coco.prepare(self.root, out, self._progress)

    @cached_property
    def _base(self) -> str:
        return locate(self.root, PLACES, ["val2014/"], title=self.title, layout=self.layout)

    @cached_property
    def _pools(self) -> CocoPools:
        url = f"{self._base}/{VAL_INSTANCES}"
        return CocoPools(Instances(url), self._base, url)

    @cached_property
    def _read(self) -> dict[str, dict[int, list[str]]]:
        return {}

    def _lists(self, fold: str) -> dict[int, list[str]]:
        """Class -> its images, for the classes of a fold."""
        if fold not in self._read:
            url = self._split_of(fold)
            listed = {} if url is None else read_split(url)
            self._read[fold] = {c: listed.get(c, []) for c in self.classes(fold)}
        return self._read[fold]

    def _split_of(self, fold: str) -> str | None:
        for suffix in (".parquet", ".pkl"):
            if is_file(url := f"{self._base}/splits/val/fold{fold}{suffix}"):
                return url
        return None

    def _missing(self, folds: Sequence[str]) -> list[str]:
        maps = [] if is_folder(f"{self._base}/{_MAPS}") else [_MAPS]
        without = [fold for fold in folds if self._split_of(fold) is None]
        return maps + [f"splits/val/fold{fold}.pkl (or .parquet)" for fold in without]

    def _incomplete(self, missing: Sequence[str]) -> str:
        found = is_file(f"{self._base}/{VAL_INSTANCES}")
        return (
            f"{self.title} is not complete: no {' and '.join(missing)} in {self._base}; "
            f"`ipseg data prepare {self.name}` makes maps and splits from {VAL_INSTANCES}, "
            f"which is {'there' if found else 'missing too'}; it needs\n{self.layout}"
        )

    def _check_files(self, named: set[str]) -> None:
        for folder in sorted({name.rpartition("/")[0] for name in named}):
            listed = iterate_files(f"{self._base}/{folder}")
            found = {f"{folder}/{name}" for name, _, is_dir in listed if not is_dir}
            wanted = {name for name in named if name.rpartition("/")[0] == folder}
            if missing := sorted(wanted - found):
                raise SourceError(
                    f"{self._base}/{missing[0]} is missing, which the splits need "
                    f"({len(missing)} of {len(wanted)} files in {folder}/ are missing)"
                )

    def _example(self, image: str, class_id: int) -> Example:
        labels = f"{self._base}/{_map_of(image)}"
        ground_truth = f"{labels}#label={class_id + 1}&up_to={len(COCO_CLASSES)}"
        return Example(image, f"{self._base}/{image}", ground_truth)


def _map_of(image: str) -> str:
    return f"annotations/{image.removesuffix('.jpg')}.png"
