"""COCO-20i: four folds of twenty classes of COCO 2014 (as arranged by HSNet)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.annotations import prepare_coco
from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES, Instances
from ipseg.benchmarks.annotations.coco_splits import FOLDS, fold_classes, read_split
from ipseg.benchmarks.annotations.origin import Origin
from ipseg.benchmarks.annotations.prepare_coco import LAYOUT, PLACES, VAL_INSTANCES
from ipseg.benchmarks.benchmark import PreparedBenchmark, Sampling, Task
from ipseg.benchmarks.datasets import drawing, fss_sam3
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.layout import check_files, is_file
from ipseg.benchmarks.protocol import IPSEG_PROTOCOL, MATCHER_PROTOCOL, Protocol
from ipseg.errors import SourceError
from ipseg.storage.files import exists, is_folder

_MAPS = prepare_coco.maps_of("val2014")


class Coco20iBenchmark(PreparedBenchmark):
    """Classes 0 to 79 in the order of COCO's ids; fold f tests f, f + 4, f + 8, ...

    1000 episodes; with "prompt-set" one for each image of each class. A query is never its own
    support, but may be a support of another query: `Sampling.exclude_prompt` matters only for rule
    "prompt-set".

    Maps and lists that were prepared are refused when what they were made from has changed. Images
    without file are left out of prepared lists; one of an official list is an error.

    The images of a class are listed in `splits/`. Draws depend on the order of that list, so only
    the official files give the published episodes (`ipseg.benchmarks.published.episode_lists`).
    """

    name: ClassVar[str] = "coco-20i"
    title: ClassVar[str] = "COCO-20i"
    folds: ClassVar[tuple[str, ...]] = tuple(str(fold) for fold in range(FOLDS))
    layout: ClassVar[str] = LAYOUT
    places: ClassVar[tuple[str, ...]] = PLACES
    needed: ClassVar[tuple[str, ...]] = ("val2014/",)
    rules: ClassVar[dict[str, str]] = {
        **drawing.RULES,
        fss_sam3.RULE: "FSS-SAM3's draws from the official annotations; a support is one object of "
        "more than 1000 pixels",
    }
    seeded: ClassVar[tuple[str, ...]] = ("", *rules)
    protocol: ClassVar[Protocol] = MATCHER_PROTOCOL
    protocols: ClassVar[dict[str, Protocol]] = {
        drawing.PROMPT_SET: IPSEG_PROTOCOL,
        fss_sam3.RULE: fss_sam3.PROTOCOL,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._changed = functools.cache(Origin.changed)  # all folds are of the same maps

    def check(self) -> None:
        """Reads the splits and checks that every image and label map they name exists.

        If maps or splits are missing, the official annotations are enough, but only for rule
        "fss-sam3".

        Raises:
            SourceError: as `Benchmark.check`.
        """
        if error := self._lacking(self.folds):
            if is_file(f"{self._base}/{VAL_INSTANCES}"):
                return
            raise error
        named = {
            name for fold in self.folds for names in self._lists(fold).values() for name in names
        }
        check_files(self._base, named | {_map_of(name) for name in named})

    def classes(self, fold: str) -> dict[int, str]:
        """Contiguous id -> name."""
        return {class_id: COCO_CLASSES[class_id] for class_id in fold_classes(int(fold))}

    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        if sampling.rule == fss_sam3.RULE:
            return self._pools.tasks(int(fold), sampling)
        if error := self._lacking([fold]):
            raise error
        prompts = sampling.rule == drawing.PROMPT_SET
        draw = drawing.draw_prompts if prompts else drawing.draw_by_class
        drawn = draw(self._lists(fold), sampling, self._split_of(fold) or "")
        return drawing.with_examples(drawn, self._example)

    def prepare(self, out: str | None = None) -> list[str]:
        """Label maps and splits; see `prepare_coco.prepare`."""
        return prepare_coco.prepare(self.root, out, self.progress, self.dropped)

    @cached_property
    def _pools(self) -> fss_sam3.CocoPools:
        url = f"{self._base}/{VAL_INSTANCES}"
        return fss_sam3.CocoPools(Instances(url, dropped=self.dropped), self._base, url)

    @cached_property
    def _read(self) -> dict[str, dict[int, list[str]]]:
        return {}

    def _lists(self, fold: str) -> dict[int, list[str]]:
        """Class -> its images, for the classes of a fold."""
        if fold not in self._read:
            url = self._split_of(fold)
            listed = {} if url is None else read_split(url)
            found = {c: listed.get(c, []) for c in self.classes(fold)}
            if url is not None and self._is_rebuilt(url):
                every = {name for names in found.values() for name in names}
                missing = self.dropped.missing(self._base, every)
                found = {c: [n for n in names if n not in missing] for c, names in found.items()}
            self._read[fold] = found
        return self._read[fold]

    def _is_rebuilt(self, split: str) -> bool:
        """Whether a split was made from label maps.

        Raises:
            SourceError: what it or the label maps were made from has changed.
        """
        made = prepare_coco.prepared(self._base)
        split = split.removeprefix(f"{self._base}/")
        now = {_MAPS: (f"{self._base}/{VAL_INSTANCES}",)}
        rebuilt = prepare_coco.is_rebuilt(made.get(split))
        if rebuilt:
            now[split] = (f"{self._base}/{_MAPS}",)
        for place in (_MAPS, split):
            files = now.get(place, ())
            if files and not exists(files[0].rstrip("/")):
                files = ()  # it was prepared elsewhere
            if place in made and self._changed(made[place], files):
                raise SourceError(
                    f"{self._base}/{place} was made from {', '.join(files or made[place].files)}, "
                    f"which changed since; run `ipseg data prepare {self.name}` again"
                )
        return rebuilt

    def _split_of(self, fold: str) -> str | None:
        for suffix in (".pkl", ".parquet"):  # a converted one may be of another pickle
            if is_file(url := f"{self._base}/splits/val/fold{fold}{suffix}"):
                return url
        return None

    def _lacking(self, folds: Sequence[str]) -> SourceError | None:
        """What to raise if maps or splits are missing."""
        maps = [] if is_folder(f"{self._base}/{_MAPS}") else [_MAPS]
        without = [fold for fold in folds if self._split_of(fold) is None]
        missing = maps + [f"splits/val/fold{fold}.pkl (or .parquet)" for fold in without]
        if not missing:
            return None
        found = is_file(f"{self._base}/{VAL_INSTANCES}")
        return self._incomplete(
            " and ".join(missing),
            f"; `ipseg data prepare {self.name}` makes maps and splits from {VAL_INSTANCES}, which "
            f"is {'there' if found else 'missing too'}",
        )

    def _example(self, image: str, class_id: int) -> Example:
        labels = f"{self._base}/{_map_of(image)}"
        ground_truth = f"{labels}#label={class_id + 1}&up_to={len(COCO_CLASSES)}"
        return Example(image, f"{self._base}/{image}", ground_truth)


def _map_of(image: str) -> str:
    return f"annotations/{image.removesuffix('.jpg')}.png"
