"""What `ipseg bench --engine` prints and writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.bench.engine import SyntheticRun, measure_engine
from jobs.output import write_file

_MB = 1e6
_POINTS = 6  # of the memory curve that are printed


def run_engine_bench(run: SyntheticRun, *, as_json: bool, out: Path | None) -> None:
    """Runs the pipeline on steps of known cost and prints to stdout what it came to.

    Args:
        run: what to run.
        as_json: print JSON instead of tables.
        out: file for the JSON; None for no file.

    Raises:
        IpsegError: as `measure_engine`; an OutputError if `out` cannot be written.
    """
    found = measure_engine(run)
    text = json.dumps(found, indent=1)
    if out is not None:
        write_file(out, f"{text}\n".encode())
    if as_json:
        print(text)  # noqa: T201
        return
    console = Console()
    _print_verdict(console, found)
    console.print(_stages(found))
    console.print(_operators(found))
    console.print(_memory(found))
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _print_verdict(console: Console, found: Mapping[str, Any]) -> None:
    seconds, busy = found["seconds"], found["busy_seconds"]
    took = timedelta(seconds=round(seconds))
    console.print(
        f"{found['rows']:,} rows in {took} on {found['cpus']:g} CPUs: "
        f"{found['rows_per_second']:.1f} rows/s "
        f"(listing them before took {found['listing_seconds']:.1f} s)",
        f"efficiency {found['efficiency']:.3f}: the bottleneck, {found['bottleneck']}, works "
        f"{busy:.1f} s of these {seconds:.1f} s, in which its workers also start"
        if busy
        else "efficiency: no step takes time, all of it is the engine",
        f"engine: {1e3 * found['overhead_seconds_per_row']:.3f} ms a row beyond that",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )


def _stages(found: Mapping[str, Any]) -> Table:
    headings = ("workers", "rows", "rows/s", "known s", "busy s", "ms/row beyond", "bytes/row")
    table = _table("stage", *headings, title="stages, by the run's record")
    for stage in found["stages"]:
        rows, busy, known = stage["rows"], stage["seconds"], stage["known_seconds"]
        table.add_row(
            stage["stage"],
            f"{stage['workers']:g}",
            f"{rows:,}",
            f"{stage['rows_per_second']:.1f}",
            f"{known:.1f}",
            f"{busy:.1f}",
            f"{1e3 * (busy - known) / rows:.3f}",
            f"{stage['bytes_per_row'] + stage['image_bytes_per_row']:,.0f}",
        )
    return table


def _operators(found: Mapping[str, Any]) -> Table:
    headings = ("tasks", "blocks", "bytes/row", "ms/task")
    table = _table("operator", *headings, title="operators, by Ray's account")
    for each in found["operators"]:
        table.add_row(
            each["name"],
            f"{each['tasks']:,}",
            f"{each['blocks']:,}",
            f"{each['bytes'] / found['rows']:,.0f}",
            f"{1e3 * each['seconds'] / each['tasks']:.1f}",
        )
    return table


def _table(first: str, *numbers: str, title: str) -> Table:
    table = Table(first, title=title)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _memory(found: Mapping[str, Any]) -> Table:
    table = Table("resident memory", "rows", "driver MB", "record's actor MB")
    curve = found["memory"]["curve"]
    picked = sorted({round(i * (len(curve) - 1) / (_POINTS - 1)) for i in range(_POINTS)})
    for sample in (curve[i] for i in picked):
        sizes = (f"{sample[who] / _MB:.0f}" for who in ("driver", "record"))
        table.add_row(f"after {sample['seconds']:.0f} s", f"{sample['rows']:,}", *sizes)
    table.add_section()
    peaks = (f"{found['memory'][who]['peak'] / _MB:.0f}" for who in ("driver", "record"))
    table.add_row("peak", "", *peaks)
    return table
