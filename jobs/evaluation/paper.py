"""A table of the paper whole: rows that were run, and the others as published, by kind."""

from __future__ import annotations

from dataclasses import dataclass

from ipseg.benchmarks.published.paper_tables import KINDS, paper_table
from jobs.evaluation.summary import Summary, Variant


@dataclass(frozen=True)
class PaperLine:
    """One row of a table.

    Attributes:
        kind: of method, in words; "" where the run is no table of the paper.
        label: as printed.
        variant: of this run; None for a row that is only published.
        value: as printed, percent; None if the paper has none.
        formula: id, of that number.
        note: what a reader has to know.
    """

    kind: str
    label: str
    variant: Variant | None
    value: float | None = None
    formula: str = ""
    note: str = ""


def lines(summary: Summary) -> list[PaperLine]:
    """All rows, those of one kind together; without a table the settings of the run."""
    number, benchmark = summary.evaluation["table"], summary.evaluation["benchmark"]
    if number is None:
        return [PaperLine("", variant.label, variant) for variant in summary.variants]
    run = {variant.label: variant for variant in summary.variants}
    rows = [
        PaperLine(
            *(KINDS[row.kind], row.label, run.get(row.label)),
            *(row.value(benchmark), row.formula_of(benchmark), row.note),
        )
        for row in paper_table(number).rows
    ]
    order = list(KINDS.values())
    return sorted(rows, key=lambda line: order.index(line.kind))
