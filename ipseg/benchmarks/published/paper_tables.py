"""The ablations of the paper as sweeps with the numbers it printed: `paper_tables.yaml`.

Source: IPSeg (arXiv 2310.10912), tables 3-7. Tables 1, 2 and 8 compare methods; their numbers are
among those of `ipseg.benchmarks.published.published`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as checked

from ipseg.benchmarks.published.published import Percent, Text
from ipseg.errors import ConfigError

FORMULA = "B"  # of all numbers in these tables
PROFILES = ("ipseg", "ipseg-released")  # what the rows' settings are overrides of
_STRICT = ConfigDict(extra="forbid", populate_by_name=True)


@checked(frozen=True, config=_STRICT)
class PromptSet:
    """Prompts that were chosen for a row.

    Attributes:
        name: as the paper's released lists would be called.
        seed: of the sampling that stands in for the list.
    """

    name: Text
    seed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class PaperRow:
    """One row of a table: what is set for it, and what came out.

    Attributes:
        label: as printed.
        settings: `section.key=value` overrides of a profile.
        prompt_set: which prompts, where the row is about them.
        given_mask: the prompt comes with its ground-truth mask.
        runnable: False where ipseg lacks the part.
        note: what else a reader has to know.
        printed: benchmark -> fold -> percent; fold "" is the mean of all folds, or where there is
            one.
    """

    label: str
    settings: tuple[str, ...] = ()
    prompt_set: PromptSet | None = None
    given_mask: bool = False
    runnable: bool = True
    note: str = ""
    printed: dict[str, dict[str, float]] = field(default_factory=dict)

    def value(self, benchmark: str, fold: str = "") -> float | None:
        """The printed number in percent, formula B; None where the paper has none."""
        return self.printed.get(benchmark, {}).get(fold)


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        number: 3 to 7.
        title: what it is about.
        rows: in the paper's order; a row it prints twice is there once.
        note: what else a reader has to know.
    """

    number: int
    title: str
    rows: tuple[PaperRow, ...]
    note: str = ""


@checked(frozen=True, config=_STRICT)
class _Row:
    label: Text
    coco: Annotated[tuple[Percent, Percent, Percent, Percent, Percent], Field(alias="coco-20i")]
    fss: Annotated[Percent, Field(alias="fss-1000")]
    perseg: Percent
    settings: tuple[str, ...] = ()
    prompt_set: PromptSet | None = None
    given_mask: bool = False
    runnable: bool = True
    note: str = ""


@checked(frozen=True, config=_STRICT)
class _Table:
    number: int
    title: Text
    rows: tuple[_Row, ...]
    note: str = ""


def paper_table(number: int) -> PaperTable:
    """A table of the paper.

    Raises:
        ConfigError: it is not one of tables 3 to 7.
    """
    tables = _shipped()
    if number not in tables:
        raise ConfigError(
            f"table {number} of the paper is no sweep; tables {min(tables)} to {max(tables)} are "
            f"(1, 2 and 8 compare methods: their numbers stand beside every evaluation)"
        )
    return tables[number]


@cache
def _shipped() -> dict[int, PaperTable]:
    text = (resources.files("ipseg.benchmarks.published") / "paper_tables.yaml").read_text("utf-8")
    tables = TypeAdapter(tuple[_Table, ...]).validate_python(yaml.safe_load(text))
    return {
        t.number: PaperTable(t.number, t.title, tuple(_row(row) for row in t.rows), t.note)
        for t in tables
    }


def _row(row: _Row) -> PaperRow:
    given: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("label", "settings", "prompt_set", "given_mask", "runnable", "note")
    }
    folds = dict(zip(("0", "1", "2", "3", ""), row.coco, strict=True))
    printed = {"coco-20i": folds, "fss-1000": {"": row.fss}, "perseg": {"": row.perseg}}
    return PaperRow(**given, printed=printed)
