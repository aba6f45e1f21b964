"""`ipseg segment` on the terminal: what came of a run, and where to look at it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ipseg.weights.finding import random_sentence
from ipseg.wording import counted, speed
from jobs.output import print_json
from jobs.pages.readable import NONE, readable_duration
from jobs.pages.template import REPORT
from jobs.terminal import plain
from pipeline.runfolder.ignored import ignored_line
from pipeline.runfolder.status import GONE
from pipeline.segment import Run

_CONCEPTS = 20  # named in the lines about convincing images


def print_run(run: Run, *, as_json: bool) -> None:
    """Prints counts, speed and quality to stdout, and what to do next; or all of it as JSON."""
    if as_json:
        print_json({"out": run.out, **run.metrics, "warnings": list(run.warnings)})
        return
    console = Console(highlight=False)
    quality = run.metrics["quality"]
    if quality is not None:
        console.print(quality_table(quality, run.metrics["suggested"]))
    for line in summary_lines(run):
        console.print(plain(line), soft_wrap=True)
    if quality is not None and quality["failed"]:
        lacking = (
            f"{counted(quality['failed'], 'comparison')} with ground truth failed, in none of "
            f"these numbers; see `ipseg errors {shlex.quote(run.out)}`"
        )
        console.print(plain(lacking), style="bold red", soft_wrap=True)
    if random := random_sentence(run.metrics["random_weights"]):
        console.print(plain(random), style="bold red", soft_wrap=True)
    for line in where_lines(run.out):
        console.print(plain(line), soft_wrap=True)


def summary_lines(run: Run) -> Iterator[str]:
    """What came of a run: rows and speed, concepts that are convincing or not, files left out."""
    rows, before = run.metrics["rows"], run.metrics["rows_before"]
    total = sum(count for status, count in rows.items() if status != GONE)
    by_status = ", ".join(f"{count:,} {status}" for status, count in rows.items() if count)
    how = f" in {readable_duration(run.metrics['seconds'])}"
    if total > before:
        how += f", {speed(run.metrics['images_per_second'], run.row_is)}"
    if before:
        how = f", {before:,} of them finished before," + how
    why = ""
    if rows["failed"] + rows["poisoned"]:
        why = f" (why: `ipseg errors {shlex.quote(run.out)}`)"
    yield f"{counted(total, run.row_is)}{how}: {by_status}{why}"
    yield from convincing_lines(run.metrics["suggested"], run.row_is)
    if ignored := ignored_line(run.metrics["ignored_files"]):
        yield ignored


def convincing_lines(suggested: Mapping[str, Mapping[str, Any]], row_is: str) -> Iterator[str]:
    """Where concepts are convincing, the most frequent first; and those that are nowhere.

    Args:
        suggested: concept -> `ipseg.scores.suggestion.Suggestion` as plain data.
        row_is: "image" or "sequence".
    """
    ordered = sorted(suggested.items(), key=lambda each: -each[1]["convincing"])
    there = [
        f"'{name}' in {counted(each['convincing'], row_is)} (from {each['threshold']:g})"
        for name, each in ordered
        if each["threshold"] is not None
    ]
    nowhere = [f"'{name}'" for name, each in ordered if each["threshold"] is None]
    if there:
        yield f"convincing, by thresholds that the scores suggest: {_listed(there)}"
    if nowhere:
        yield f"no {row_is} is convincing for {_listed(nowhere)}"


def _listed(names: list[str]) -> str:
    more = len(names) - _CONCEPTS
    return ", ".join(names[:_CONCEPTS]) + (f" and {more} more" if more > 0 else "")


def where_lines(out: str) -> Iterator[str]:
    """Where the masks are, and the commands to look at them."""
    run = shlex.quote(out)
    yield f"masks: {out}/data"
    yield f"report: `ipseg report {run}` writes {out}/{REPORT}; `ipseg show {run} --sample 24`"


def quality_table(quality: Mapping[str, Any], suggested: Mapping[str, Mapping[str, Any]]) -> Table:
    """Mean IoU, average precision of presence, and presence at the suggested threshold.

    Args:
        quality: what `pipeline.labels.presence.quality_at` found.
        suggested: concept -> `ipseg.scores.suggestion.Suggestion` as plain data.
    """
    head = ("with it", "mean IoU", "presence AP", "threshold", "precision", "recall")
    table = Table("concept", *head)
    for name, measured in quality["concepts"].items():
        least = suggested[name]["threshold"]
        table.add_row(
            plain(name),
            f"{measured['present']} of {measured['images']}",
            _number(measured["mean_iou"]),
            _number(measured["average_precision"]),
            "absent" if least is None else f"{least:g}",
            _number(measured["precision"]),
            _number(measured["recall"]),
        )
    table.add_section()
    table.add_row(
        "all",
        str(quality["pairs"]),
        _number(quality["mean_iou"]),
        _number(quality["average_precision"]),
        "suggested",
        _number(quality["precision"]),
        _number(quality["recall"]),
    )
    return table


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
