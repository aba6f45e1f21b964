"""`ipseg count` on the terminal: how many there are of each concept, and where the numbers are."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.table import Table

from ipseg.weights.finding import random_sentence
from ipseg.wording import counted
from jobs.output import print_json
from jobs.pages.readable import NONE
from jobs.segment import summary_lines
from jobs.terminal import plain
from pipeline.counts import CSV, FOLDER, PARQUET, Counted
from pipeline.segment import Run


def print_counts(run: Run, found: Counted, *, as_json: bool) -> None:
    """Prints sums by concept and where each image's numbers are; or all of it as JSON."""
    concepts = found.concepts()
    if as_json:
        print_json(
            {
                **{"out": run.out, "rows": run.counts, "concepts": concepts, "maps": found.maps},
                **{"counts": [f"{run.out}/{CSV}", f"{run.out}/{PARQUET}"]},
                "warnings": list(run.warnings),
            }
        )
        return
    console = Console(highlight=False)
    table = Table("concept")
    for name in ("images", "count", "for an image", "outlined"):
        table.add_column(name, justify="right")
    for name, each in concepts.items():
        mean = f"{each['count'] / each['images']:,.1f}" if each["images"] else NONE
        table.add_row(
            plain(name),
            *(f"{each['images']:,}", f"{each['count']:,.0f}", mean, f"{each['instances']:,}"),
        )
    console.print(table)
    if random := random_sentence(run.metrics["random_weights"]):
        console.print(plain(random), style="bold red", soft_wrap=True)
    rows, *_ = summary_lines(run)
    console.print(plain(rows), soft_wrap=True)
    console.print(plain(f"counts: {run.out}/{CSV}, {run.out}/{PARQUET}"), soft_wrap=True)
    if found.maps:
        maps = f"{counted(found.maps, 'density map')}: {run.out}/{FOLDER}"
        console.print(plain(maps), soft_wrap=True)
    console.print(plain(f"masks: {run.out}/data; `ipseg report {shlex.quote(run.out)}`"))
