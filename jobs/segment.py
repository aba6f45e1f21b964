"""What `ipseg segment` prints at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.output import print_json
from jobs.pages.readable import NONE
from jobs.terminal import plain
from pipeline.runfolder.ignored import ignored_line
from pipeline.segment import Run


def print_run(run: Run, *, as_json: bool) -> None:
    """Prints counts, speed and quality to stdout, as a short table or as JSON."""
    if as_json:
        print_json({"out": run.out, **run.metrics, "warnings": list(run.warnings)})
        return
    console = Console()
    rows = run.metrics["rows"]
    console.print(
        f"{sum(rows.values())} images in {run.metrics['seconds']:.1f} s "
        f"({run.metrics['images_per_second']:.1f} images/s): "
        + ", ".join(f"{count} {status}" for status, count in rows.items() if count)
    )
    if ignored := ignored_line(run.metrics["ignored_files"]):
        console.print(plain(ignored), soft_wrap=True)
    quality = run.metrics["quality"]
    if quality is not None:
        console.print(quality_table(quality))
        if quality["failed"]:
            lacking = (
                f"{quality['failed']} comparisons with ground truth failed and are in none of "
                f"these numbers; see `ipseg errors {run.out}`"
            )
            console.print(plain(lacking), style="bold red", soft_wrap=True)
    console.print(plain(f"masks: {run.out}/data"), soft_wrap=True)


def quality_table(quality: dict[str, Any]) -> Table:
    """Mean IoU and average precision of presence, for each concept and overall."""
    table = Table("concept", "images with it", "mean IoU", "presence AP")
    for name, measured in quality["concepts"].items():
        table.add_row(
            plain(name),
            f"{measured['present']} of {measured['images']}",
            _number(measured["mean_iou"]),
            _number(measured["average_precision"]),
        )
    table.add_section()
    table.add_row(
        "all",
        str(quality["pairs"]),
        _number(quality["mean_iou"]),
        _number(quality["average_precision"]),
    )
    return table


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
