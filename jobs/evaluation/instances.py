"""`ipseg evaluate` on instances: COCO's average precision for each seed, and its mean."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from ipseg.benchmarks.datasets.coco_novel import NOVEL, CocoNovelBenchmark
from ipseg.errors import ConfigError, SourceError
from ipseg.metrics.coco_ap import AveragePrecision, coco_ap
from ipseg.storage.files import write_whole
from ipseg.weights.finding import random_sentence, random_weights
from ipseg.wording import counted
from jobs.evaluation import wording
from jobs.evaluation.comparison import Comparison, compare, counterpart
from jobs.evaluation.refusal import refused, without
from jobs.evaluation.request import Measured
from jobs.evaluation.settings import Choice, Setting
from jobs.output import print_json
from jobs.pages.readable import NONE
from jobs.terminal import plain
from pipeline.instances import InstanceSearch, find_instances, found_instances
from pipeline.runfolder.finished import BROKEN

log = logging.getLogger("ipseg")

INSTANCES = "instances.json"
Numbers = dict[str, AveragePrecision]  # formula -> number


@dataclass(frozen=True, kw_only=True)
class InstanceRequest(Measured):
    """Instances that somebody wants evaluated.

    Attributes:
        benchmark: opened on its data root.
    """

    benchmark: CocoNovelBenchmark


@dataclass(frozen=True)
class Seed:
    """What came of one seed.

    Attributes:
        numbers: label of a setting -> its numbers.
        images: looked into.
        failed: of these.
        left_out: label of a setting -> classes that were not looked for, and why.
    """

    numbers: dict[str, Numbers]
    images: int
    failed: int
    left_out: dict[str, dict[str, str]]

    @property
    def whole(self) -> bool:
        """Whether everything was looked for everywhere."""
        return not self.failed and not any(self.left_out.values())


def run_instance_evaluation(request: InstanceRequest, *, as_json: bool) -> bool:
    """Runs the seeds, each in OUT/<seed>/, writes OUT/instances.json, and prints a table.

    Returns:
        Whether every class was looked for in every image, with every setting.

    Raises:
        IpsegError: something the caller can fix.
    """
    benchmark = request.benchmark
    choice = Choice(
        request, request.settings, given_mask=True, classes=lambda: list(NOVEL.values())
    )
    every = choice.settings()
    reasons = refused(every)
    settings = without(every, reasons)
    if any(setting.config.method.row_is == "sequence" for setting in settings):
        raise ConfigError(f"{benchmark.name} is of images, not of videos: choose another method")
    folds = request.folds_of(benchmark.name, benchmark.folds)
    benchmark.check(folds)
    seeds = {fold: _run(request, settings, fold) for fold in folds}
    data = {**_as_data(request, settings, seeds), "refused": reasons}
    out = request.out.rstrip("/")
    write_whole(f"{out}/{INSTANCES}", (json.dumps(data, indent=1) + "\n").encode())
    if as_json:
        print_json(data)
    else:
        _print(data, f"{out}/{INSTANCES}", Console())
    return not reasons and all(seed.whole for seed in seeds.values())


def _run(request: InstanceRequest, settings: Sequence[Setting], fold: str) -> Seed:
    benchmark = request.benchmark
    images = dict(islice(benchmark.images.items(), request.limit))
    truth = _of_images(benchmark.truth, set(images.values()))
    if not truth["annotations"]:
        raise SourceError(
            f"{benchmark.title} in {benchmark.root} has no object of its classes in "
            f"{counted(len(images), 'image')}; take more of them (--limit)"
        )
    log.info("%s, %s: %s", benchmark.title, fold, counted(len(images), "image"))
    work = InstanceSearch(
        benchmark=benchmark.name,
        fold=fold,
        images=list(images),
        references=benchmark.references(fold),
        variants={setting.label: setting.config for setting in settings},
        out=f"{request.out.rstrip('/')}/{fold}",
        engine=request.engine,
        overwrite=request.overwrite,
        retry=request.retry,
        budget=request.budget,
    )
    done = find_instances(work)
    numbers = {image.key: number for image, number in images.items()}
    categories = {name: number for number, name in NOVEL.items()}
    return Seed(
        {
            label: _measured(truth, found_instances(work.out, label, numbers, categories), request)
            for label in work.variants
        },
        len(images),
        sum(done.outcome.counts[status] for status in BROKEN),
        {
            label: {name: why for name in categories if (why := bank.failure(name)) is not None}
            for label, bank in done.banks.items()
        },
    )


def _measured(
    truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], request: InstanceRequest
) -> Numbers:
    return {formula: coco_ap(truth, found, formula) for formula in request.benchmark.formulas}


def _of_images(truth: Mapping[str, Any], images: set[int]) -> dict[str, Any]:
    """Ground truth of some images alone."""
    return {
        **truth,
        "images": [each for each in truth["images"] if each["id"] in images],
        "annotations": [each for each in truth["annotations"] if each["image_id"] in images],
    }


def _as_data(
    request: InstanceRequest, settings: Sequence[Setting], seeds: Mapping[str, Seed]
) -> dict[str, Any]:
    """All numbers as plain data: shares in [0, 1], published ones in percent."""
    benchmark = request.benchmark
    about = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "shot": benchmark.shot,
        "formula": benchmark.formulas[0],
        "folds": list(seeds),
        "all_folds": list(benchmark.folds),
        "protocol": {"given_mask": True},
        "table": None,
        "images": next(iter(seeds.values())).images,
        "all_images": len(benchmark.images),
    }
    return {
        **about,
        "variants": [_variant(about, setting, seeds) for setting in settings],
        "failed": {fold: seed.failed for fold, seed in seeds.items()},
        "left_out": {fold: seed.left_out for fold, seed in seeds.items()},
        "dropped": benchmark.dropped.listed,
        "random_weights": sorted({n for each in settings for n in random_weights(each.config)}),
    }


def _variant(
    about: Mapping[str, Any], setting: Setting, seeds: Mapping[str, Seed]
) -> dict[str, Any]:
    own = {
        "label": setting.label,
        "settings": list(setting.overrides),
        "method": setting.config.method_name,
        "published_as": setting.config.method.published_as,
        "profile": setting.config.profile,
        "config_sha256": setting.config.sha256,
    }
    by_fold = {fold: seed.numbers[setting.label] for fold, seed in seeds.items()}
    numbers = {
        formula: {
            **asdict(_mean([each[formula] for each in by_fold.values()])),
            "folds": {fold: asdict(each[formula]) for fold, each in by_fold.items()},
        }
        for formula in next(iter(by_fold.values()))
    }
    ours = {formula: number["ap"] for formula, number in numbers.items()}
    beside = compare(about, ours)
    theirs = counterpart(about, own, beside, ours)
    comparisons = [asdict(each) for each in beside]
    return {
        **own,
        "numbers": numbers,
        "comparisons": comparisons,
        "counterpart": theirs and asdict(theirs),
    }


def _mean(numbers: Sequence[AveragePrecision]) -> AveragePrecision:
    columns = zip(*(asdict(each).values() for each in numbers), strict=True)
    return AveragePrecision(*(math.fsum(column) / len(numbers) for column in columns))


def _print(data: Mapping[str, Any], file: str, console: Console) -> None:
    for variant in data["variants"]:
        name = f"{data['title']}, {data['shot']}-shot: {variant['method']}, {variant['profile']}"
        console.print(plain(", ".join(filter(None, [name, variant["label"]]))))
        console.print(_table(data, variant))
        if theirs := variant["counterpart"]:
            console.print(plain(_published(Comparison(**theirs))), soft_wrap=True)
    for line in wording.dropped_lines(data["dropped"]):
        console.print(plain(line), soft_wrap=True)
    for line in filter(None, [*_gaps(data), random_sentence(data["random_weights"])]):
        console.print(plain(line), style="bold red", soft_wrap=True)
    console.print(f"all of it, and other published numbers: {file}", soft_wrap=True)


def _table(data: Mapping[str, Any], variant: Mapping[str, Any]) -> Table:
    table = Table("")
    for formula in variant["numbers"]:
        for column in (formula, "AP50", "AP75"):
            table.add_column(column, justify="right")
    for fold in data["folds"]:
        each = [number["folds"][fold] for number in variant["numbers"].values()]
        table.add_row(fold, *_cells(each))
    table.add_section()
    mean = f"mean of {counted(len(data['folds']), 'seed')}"
    table.add_row(mean, *_cells(list(variant["numbers"].values())), style="bold")
    return table


def _cells(numbers: Sequence[Mapping[str, Any]]) -> list[str]:
    return [wording.percent(each[name]) for each in numbers for name in ("ap", "ap50", "ap75")]


def _published(theirs: Comparison) -> str:
    note = f" ({theirs.note})" if theirs.note else ""
    delta = NONE if theirs.delta is None else wording.points(theirs.delta)
    return f"published {theirs.formula} of {theirs.method}: {theirs.value:.1f}, {delta}{note}"


def _gaps(data: Mapping[str, Any]) -> list[str]:
    """What keeps the numbers from being those of the benchmark."""
    lines = []
    if data["images"] < data["all_images"]:
        lines.append(f"only {data['images']:,} of {counted(data['all_images'], 'image')}")
    for label, why in data["refused"].items():
        lines.append(f"{label}: NOT RUN: {why}")
    for fold, failed in data["failed"].items():
        if failed:
            lines.append(f"PARTIAL: {fold}: {counted(failed, 'image')} failed")
    for fold, by_label in data["left_out"].items():
        for label, classes in by_label.items():
            for name, why in classes.items():
                of = f"{fold}, {label}" if label else fold
                lines.append(f"PARTIAL: {of}: '{name}' was not looked for: {why}")
    return lines
