"""The ablations of the paper as sweeps, with the printed numbers: `paper_tables.yaml`.

Source: IPSeg (arXiv 2310.10912), tables 3-7. Tables 1, 2 and 8 compare methods; their numbers are
in those of `ipseg.benchmarks.published.published`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from ipseg.benchmarks.published.published import BenchmarkName, Percent, Text
from ipseg.errors import ConfigError

FORMULA = "B"  # of all numbers in these tables
PROFILES = ("ipseg", "ipseg-released")  # what the rows' settings are overrides of
_STRICT = ConfigDict(extra="forbid")


def _by_fold(printed: object) -> object:
    """One number, or those of the four folds of COCO-20i and their mean."""
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


@dataclass(frozen=True, config=_STRICT)
class PaperRow:
    """One row of a table: its settings and its numbers.

    Attributes:
        label: as printed.
        printed: benchmark -> fold -> percent; fold "" is the mean of all folds, or the only one.
        settings: `section.key=value` overrides of a profile.
        prompt_set: the prompts, if the row is about them.
        given_mask: the prompt comes with its ground-truth mask.
        runnable: False if ipseg lacks the component.
        note: anything else a reader must know.
    """

    label: Text
    printed: dict[BenchmarkName, ByFold]
    settings: tuple[str, ...] = ()
    prompt_set: PromptSet | None = None
    given_mask: bool = False
    runnable: bool = True
    note: str = ""

    def value(self, benchmark: str, fold: str = "") -> float | None:
        """The printed number in percent, formula B; None if the paper has none."""
        return self.printed.get(benchmark, {}).get(fold)


@dataclass(frozen=True, config=_STRICT)
class PaperTable:
    """One table of the paper.

    Attributes:
        number: 3 to 7.
        title: its subject.
        rows: in the paper's order; a row that is printed twice appears once.
        note: anything else a reader must know.
    """

    number: int
    title: Text
    rows: tuple[PaperRow, ...]
    note: str = ""


def paper_table(number: int) -> PaperTable:
    """A table of the paper.

    Raises:
        ConfigError: it is not one of tables 3 to 7.
    """
    tables = _shipped()
    if number not in tables:
        raise ConfigError(
            f"table {number} of the paper is not a sweep; tables {min(tables)}-{max(tables)} are "
            f"(1, 2 and 8 compare methods: every evaluation prints their numbers)"
        )
    return tables[number]


@cache
def _shipped() -> dict[int, PaperTable]:
    text = (resources.files("ipseg.benchmarks.published") / "paper_tables.yaml").read_text("utf-8")
    tables = TypeAdapter(tuple[PaperTable, ...]).validate_python(yaml.safe_load(text))
    return {table.number: table for table in tables}
