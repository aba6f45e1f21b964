"""Published numbers as data, for comparison with those of a run: `published.yaml`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ipseg.components import BENCHMARKS, INSTANCE_BENCHMARKS
from ipseg.errors import ConfigError
from ipseg.metrics import FORMULAS
from ipseg.metrics.coco_ap import KINDS
from ipseg.parts import unknown

_STRICT = ConfigDict(extra="forbid")


def _one_of(what: str, known: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(unknown(what, name, list(known)))
        return name

    return AfterValidator(check)


Percent = Annotated[float, Field(ge=0, le=100)]
Shot = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
BenchmarkName = Annotated[str, _one_of("benchmark", [*BENCHMARKS, *INSTANCE_BENCHMARKS])]
FormulaId = Annotated[str, _one_of("formula", [*FORMULAS, *KINDS])]
Given = Literal["image", "mask", "box", "name"]
"""What a method is given of an example: the image alone, or with its mask or box; or a name."""


@dataclass(frozen=True, config=_STRICT)
class Published:
    """One number from a publication.

    Attributes:
        benchmark: name of the benchmark.
        fold: name of the fold; "" for the mean of all folds, or if there is only one.
        method: name of the method.
        backbone: its networks.
        training_free: nothing was trained beyond the pre-training of those networks.
        given: what a prompt is.
        formula: id in `ipseg.metrics.FORMULAS`, or of instances in `ipseg.metrics.coco_ap.KINDS`;
            only numbers of the same formula can be compared.
        shot: supports of each query.
        value: in percent, as printed.
        source: where it was found.
        note: anything else a reader must know: "in-domain", conflicts between sources, and so on.
    """

    benchmark: BenchmarkName
    fold: str
    method: Text
    backbone: Text
    training_free: bool
    given: Given
    formula: FormulaId
    shot: Shot
    value: Percent
    source: Text
    note: str = ""


@dataclass(frozen=True, config=_STRICT)
class Speed:
    """A throughput from a publication.

    Attributes:
        method: name of the method.
        images_per_second: whole images, including all processing.
        hardware: as far as stated.
        source: where it was found.
        note: anything else a reader must know.
    """

    method: Text
    images_per_second: Annotated[float, Field(gt=0)]
    hardware: Text
    source: Text
    note: str = ""


@dataclass(frozen=True, config=_STRICT)
class _Score:
    benchmark: BenchmarkName
    formula: FormulaId
    value: Percent
    source: Text
    folds: tuple[Percent, ...] = ()
    shot: Shot = 1
    note: str = ""


@dataclass(frozen=True, config=_STRICT)
class _Method:
    method: Text
    backbone: Text
    training_free: bool
    numbers: tuple[_Score, ...]
    given: Given = "mask"
    note: str = ""


_OF_SCORE = ("benchmark", "formula", "shot", "value")
_OF_METHOD = ("method", "backbone", "training_free", "given")


@dataclass(frozen=True, config=_STRICT)
class _File:
    sources: dict[str, Text]
    scores: tuple[_Method, ...]
    speeds: tuple[Speed, ...]


def published(benchmark: str, shot: int = 1) -> list[Published]:
    """The published numbers of a benchmark, in the order of the file.

    Args:
        benchmark: its name; the list is empty if nothing was published for it.
        shot: supports of each query.
    """
    return [n for n in _shipped()[0] if n.benchmark == benchmark and n.shot == shot]


def speeds() -> list[Speed]:
    """Published throughputs, on any benchmark."""
    return list(_shipped()[1])


@cache
def _shipped() -> tuple[tuple[Published, ...], tuple[Speed, ...]]:
    text = (resources.files("ipseg.benchmarks.published") / "published.yaml").read_text("utf-8")
    return read_published(text, "published.yaml")


def read_published(text: str, name: str) -> tuple[tuple[Published, ...], tuple[Speed, ...]]:
    """All numbers and speeds in a file in the format of `published.yaml`.

    Args:
        text: its content.
        name: its name in errors.

    Raises:
        ConfigError: not YAML, an unknown key, benchmark, formula or source, or a number that is not
            a percentage; names the entry.
    """
    try:
        file = TypeAdapter(_File).validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{name}: {place}: {first['msg']} (got {first['input']!r})") from error

    def spelled(source: str, method: str) -> str:
        if source not in file.sources:
            raise ConfigError(f"{name}: {method}: '{source}' is not among its sources")
        return file.sources[source]

    numbers = []
    for each in file.scores:
        for score in each.numbers:
            mean = Published(
                fold="",
                source=spelled(score.source, each.method),
                note="; ".join(filter(None, (each.note, score.note))),
                **{name: getattr(each, name) for name in _OF_METHOD},
                **{name: getattr(score, name) for name in _OF_SCORE},
            )
            of_folds = enumerate(score.folds)
            numbers += [mean, *(replace(mean, fold=str(n), value=value) for n, value in of_folds)]
    rates = [replace(rate, source=spelled(rate.source, rate.method)) for rate in file.speeds]
    return tuple(numbers), tuple(rates)
