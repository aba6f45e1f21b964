"""The tables of the paper as comparisons, with the printed numbers: `paper_tables.yaml`.

Source: IPSeg (arXiv 2310.10912), tables 1-7. Tables 1 and 2 compare methods: their numbers are
those of `ipseg.benchmarks.published.published`. Table 8 is only there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from ipseg.benchmarks.published.published import (
    BenchmarkName,
    FormulaId,
    Percent,
    Text,
    published,
)
from ipseg.errors import ConfigError

FORMULA = "B"  # of the paper's own numbers
_PAPER = "IPSeg paper"  # as `published.yaml` spells it
PROFILES = ("ipseg", "ipseg-released")  # what the rows' settings are overrides of
_STRICT = ConfigDict(extra="forbid")


def _by_fold(printed: object) -> object:
    """One number, or those of the four folds of COCO-20i and their mean."""
    if isinstance(printed, dict):
        return printed
    if isinstance(printed, list):
        return dict(zip(("0", "1", "2", "3", ""), printed, strict=True))
    return {"": printed}


ByFold = Annotated[dict[str, Percent], BeforeValidator(_by_fold)]


@dataclass(frozen=True, config=_STRICT)
class PromptSet:
    """The prompts of a row.

    Attributes:
        name: name of the paper's list.
        seed: of the sampling that replaces the list, which is not published.
    """

    name: Text
    seed: Annotated[int, Field(ge=0)]


Kind = Literal["no mask", "mask", "trained", "in-domain", "names"]
KINDS: dict[Kind, str] = {
    "no mask": "training-free, the example without a mask",
    "mask": "training-free, the example with its mask",
    "trained": "trained",
    "in-domain": "trained, on the tested classes too",
    "names": "given names, not examples",
}


@dataclass(frozen=True, config=_STRICT)
class PaperRow:
    """One row of a table: its settings and its numbers.

    Attributes:
        label: as printed.
        published: name of a method in `published.yaml`, whose numbers the row has.
        kind: of method; only rows of one kind are answers to the same question.
        profile: that runs it; "" for settings of a profile of IPSeg.
        printed: benchmark -> fold -> percent; fold "" is the mean of all folds, or the only one.
        settings: `section.key=value` overrides of a profile.
        formulas: benchmark -> formula of its number, where it is not `FORMULA`.
        prompt_set: the prompts, if the row is about them.
        runnable: False if ipseg lacks the component.
        note: anything else a reader must know.
    """

    label: Text
    printed: dict[BenchmarkName, ByFold] = Field(default_factory=dict)
    formulas: dict[BenchmarkName, FormulaId] = Field(default_factory=dict)
    published: str = ""
    kind: Kind = "no mask"
    profile: str = ""
    settings: tuple[str, ...] = ()
    prompt_set: PromptSet | None = None
    runnable: bool = True
    note: str = ""

    def value(self, benchmark: str, fold: str = "") -> float | None:
        """The printed number in percent, of formula `formula_of`; None if the paper has none."""
        return self.printed.get(benchmark, {}).get(fold)

    def formula_of(self, benchmark: str) -> str:
        """Id of the formula of its number."""
        return self.formulas.get(benchmark, FORMULA)

    @property
    def given_mask(self) -> bool:
        """Whether the example comes with its ground-truth mask."""
        return self.kind == "mask"

    @property
    def support(self) -> str | None:
        """How the object of an example is found, for a profile of its own."""
        return {"no mask": "saliency", "mask": "mask", "in-domain": "mask"}.get(self.kind)


@dataclass(frozen=True, config=_STRICT)
class PaperTable:
    """One table of the paper.

    Attributes:
        number: 1 to 7.
        title: its subject.
        benchmarks: that it has numbers of; those of its rows if it is not given.
        rows: in the paper's order; a row that is printed twice appears once.
        note: anything else a reader must know.
    """

    number: int
    title: Text
    rows: tuple[PaperRow, ...]
    benchmarks: tuple[BenchmarkName, ...] = ()
    note: str = ""


def paper_table(number: int) -> PaperTable:
    """A table of the paper.

    Raises:
        ConfigError: it is not one of tables 1 to 7.
    """
    tables = _shipped()
    if number not in tables:
        raise ConfigError(
            f"there is no table {number} to run; tables {min(tables)}-{max(tables)} of the paper "
            f"are (numbers of table 8 are printed beside every evaluation)"
        )
    return tables[number]


@cache
def _shipped() -> dict[int, PaperTable]:
    text = (resources.files("ipseg.benchmarks.published") / "paper_tables.yaml").read_text("utf-8")
    tables = TypeAdapter(tuple[PaperTable, ...]).validate_python(yaml.safe_load(text))
    return {table.number: _with_numbers(table) for table in tables}


def _with_numbers(table: PaperTable) -> PaperTable:
    """The table with the numbers of rows that name a published method."""
    rows = tuple(_filled(row, table.benchmarks) if row.published else row for row in table.rows)
    printed = dict.fromkeys(name for row in rows for name in row.printed)
    return replace(table, rows=rows, benchmarks=table.benchmarks or tuple(printed))


def _filled(row: PaperRow, benchmarks: tuple[str, ...]) -> PaperRow:
    printed: dict[str, dict[str, float]] = {}
    formulas: dict[str, str] = {}
    for each in (n for name in benchmarks for n in published(name)):
        if each.method == row.published and each.source.startswith(_PAPER):
            printed.setdefault(each.benchmark, {})[each.fold] = each.value
            formulas[each.benchmark] = each.formula
    return replace(row, printed=printed, formulas=formulas)
