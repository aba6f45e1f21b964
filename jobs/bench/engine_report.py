"""What `ipseg bench --engine` prints and writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.bench.engine import Measurement, Sample, SyntheticRun, measure_engine
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
    text = json.dumps(as_data(found), indent=1)
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


def as_data(found: Measurement) -> dict[str, Any]:
    """What came of it as plain data; memory in bytes."""
    seconds = found.outcome.seconds
    loads = {load.name: load for load in found.loads}
    return {
        "rows": found.run.rows,
        "kind": found.run.kind,
        "cpus": found.cpus,
        "runtime": asdict(found.run.runtime),
        "listing_seconds": found.listing_seconds,
        "seconds": seconds,
        "rows_per_second": found.run.rows / seconds,
        "bottleneck": found.bottleneck,
        "busy_seconds": found.busy,
        "efficiency": found.efficiency,
        "overhead_seconds_per_row": found.overhead,
        "stages": [
            {
                **stage,
                "workers": loads[stage["stage"]].workers,
                "rows_per_second": stage["rows"] / seconds,
                "known_seconds": found.run.rows * loads[stage["stage"]].seconds_per_row,
            }
            for stage in found.outcome.stages
        ],
        "operators": [asdict(operator) for operator in found.operators],
        "memory": {
            "driver": asdict(found.driver),
            "record": asdict(found.record),
            "curve": [asdict(sample) for sample in found.curve],
        },
    }


def _print_verdict(console: Console, found: Measurement) -> None:
    rows, seconds = found.run.rows, found.outcome.seconds
    took = timedelta(seconds=round(seconds))
    console.print(
        f"{rows:,} rows in {took} on {found.cpus:g} CPUs: {rows / seconds:.1f} rows/s "
        f"(listing them before took {found.listing_seconds:.1f} s)",
        f"efficiency {found.efficiency:.3f}: the bottleneck, {found.bottleneck}, works "
        f"{found.busy:.1f} s of these {seconds:.1f} s, in which its workers also start"
        if found.busy
        else "efficiency: no step takes time, all of it is the engine",
        f"engine: {1e3 * found.overhead:.3f} ms a row beyond that",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )


def _stages(found: Measurement) -> Table:
    table = Table("stage", title="stages, by the run's record")
    for heading in ("workers", "rows", "rows/s", "known s", "busy s", "ms/row beyond", "bytes/row"):
        table.add_column(heading, justify="right")
    for stage in as_data(found)["stages"]:
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


def _operators(found: Measurement) -> Table:
    table = Table("operator", title="operators, by Ray's account")
    for heading in ("tasks", "blocks", "bytes/row", "ms/task"):
        table.add_column(heading, justify="right")
    for each in found.operators:
        table.add_row(
            each.name,
            f"{each.tasks:,}",
            f"{each.blocks:,}",
            f"{each.bytes / found.run.rows:,.0f}",
            f"{1e3 * each.seconds / each.tasks:.1f}",
        )
    return table


def _memory(found: Measurement) -> Table:
    table = Table("resident memory", "rows", "driver MB", "record's actor MB")
    last = len(found.curve) - 1
    picked = sorted({round(i * last / (_POINTS - 1)) for i in range(_POINTS)})
    for sample in (found.curve[i] for i in picked):
        table.add_row(_clock(sample), f"{sample.rows:,}", *_mb(sample.driver, sample.record))
    table.add_section()
    table.add_row("peak", "", *_mb(found.driver.peak, found.record.peak))
    return table


def _clock(sample: Sample) -> str:
    return f"after {sample.seconds:.0f} s"


def _mb(*sizes: int) -> list[str]:
    return [f"{size / _MB:.0f}" for size in sizes]
