"""`ipseg status`: how far a run is, how fast it goes, and whether any row is there twice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ipseg.wording import counted, speed
from jobs.commands.options import Json
from jobs.output import print_json
from jobs.terminal import plain, print_problems
from pipeline.runfolder.status import RunStatus, ShardStatus

EPILOG = """
[bold]Examples[/bold]

    ipseg status masks/

    ipseg status s3://bucket/masks --by-shard

Look again every 10 seconds until the run has come to its end, without reading the keys:

    ipseg status masks/ --watch 10

As data, for a script:

    ipseg status masks/ --json

Exit codes: 0; 1 if there is no run at this place, or if any key is there more than once. Keys are
repeated only where a run was killed between two writes; the same command started again puts that in
order, and readers take such a key once.
"""


def status(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    by_shard: Annotated[
        bool, typer.Option("--by-shard", help="One line for each shard as well.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="Look again after so many seconds, until the run has finished or stopped.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is done, empty, failed and left in a run folder, its speed, and when it ends."""
    from pipeline.runfolder.survey import survey_run

    console = Console()
    if watch is not None:
        _watch(out, watch, console, as_json=json)
    found = survey_run(out)
    if json:
        print_json({**as_data(found, by_shard=by_shard), "calibration": _calibration(found.out)})
    else:
        console.print(_overview(found))
        if (calibrated := _calibration(found.out)) is not None:
            console.print(plain(f"calibrated: {calibrated}"), soft_wrap=True)
        if by_shard:
            console.print(_shard_table(found.shards))
        print_problems(console, found.problems)
    if found.repeated:
        raise typer.Exit(1)


def as_data(found: RunStatus, *, by_shard: bool = False) -> dict[str, Any]:
    """A survey as plain data: times in ISO form, durations in seconds, null for unknown."""
    return {
        "out": found.out,
        "state": found.state,
        "run_id": found.run_id,
        "starts": found.starts,
        "started": _iso(found.started),
        "finished": _iso(found.finished),
        "last_written": _iso(found.last_written),
        "rows": _counts(found.counts),
        "done": found.done,
        "expected": found.expected,
        "expected_is_exact": found.exact,
        "left": found.left,
        "rows_of_newest_run": found.rows_of_run,
        "rows_per_second": found.rows_per_second,
        "eta_seconds": found.eta_seconds,
        "repeated_keys": found.repeated,
        "shards": {"complete": found.complete_shards, "all": len(found.shards)},
        "ignored_files": dict(found.ignored),
        "problems": list(found.problems),
        **({"by_shard": [_shard_data(shard) for shard in found.shards]} if by_shard else {}),
    }


def _calibration(out: str) -> str | None:
    """What the run's scores were calibrated on, None if they were not."""
    from pipeline.labels.calibration import Calibration
    from pipeline.runfolder.manifest import Manifest

    calibration = Calibration.read(out)
    if calibration is None:
        return None
    labels, date = calibration.about["labels"], calibration.about["date"][:10]
    of = f"{counted(labels['objects'], 'object')} in {counted(labels['images'], 'image')}"
    manifest = Manifest.read(out)
    stale = manifest is not None and not calibration.fits(manifest)
    return f"on {of} of {labels['source']}, {date}" + (", before scores were changed" * stale)


def _shard_data(shard: ShardStatus) -> dict[str, Any]:
    return {
        "shard": shard.shard,
        "complete": shard.complete,
        "rows": _counts(shard.counts),
        "done": shard.done,
        "expected": shard.expected,
        "repeated_keys": shard.repeated,
    }


def _watch(out: str, seconds: float, console: Console, *, as_json: bool) -> None:
    """Shows quick looks (keys not checked) until nothing more is going on."""
    from pipeline.runfolder.survey import survey_run

    drawn = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False, transient=True)
    with live if drawn else nullcontext():
        while True:
            found = survey_run(out, check_keys=False)
            if drawn:
                live.update(_overview(found), refresh=True)
            elif as_json:
                print_json(as_data(found))
            else:
                typer.echo(_line(found))
            if found.state in ("finished", "stopped"):
                return
            time.sleep(seconds)


def _overview(found: RunStatus) -> RenderableType:
    table = Table(show_header=False, min_width=48)
    table.add_row("run", plain(found.out))
    table.add_row("state", _state(found))
    if found.started is not None:
        started = f"{found.started:%Y-%m-%d %H:%M:%S %Z}"
        table.add_row("started", started + (f", start {found.starts}" if found.starts > 1 else ""))
    table.add_section()
    about = "" if found.exact or found.expected is None else "about "
    table.add_row("done", f"{found.done:,}" + _of(found.expected, about))
    for name, number in _counts(found.counts).items():
        if number or name in ("ok", "empty", "failed"):
            table.add_row(f"  {name}", f"{number:,}")
    table.add_row("left", "unknown" if found.left is None else f"{about}{found.left:,}")
    table.add_row("shards", f"{found.complete_shards:,} of {len(found.shards):,} complete")
    if found.ignored:
        from pipeline.runfolder.ignored import ignored_line

        table.add_row("left out", plain(ignored_line(found.ignored)))
    table.add_section()
    table.add_row("speed", _speed(found))
    table.add_row("time left", _time_left(found))
    if found.repeated is None:
        table.add_row("repeated keys", "not looked for")
    elif found.repeated:
        advice = "; start the same command again, which puts that in order"
        across = found.repeated_across or 0
        if across == found.repeated:
            advice = "; the source has these keys in several files"
        table.add_row("repeated keys", Text(f"{found.repeated:,}{advice}", style="bold red"))
    else:
        table.add_row("repeated keys", "0")
    return table


def _shard_table(shards: tuple[ShardStatus, ...]) -> RenderableType:
    table = Table("shard", "complete", "done", "expected", "failed", "repeated keys")
    for shard in shards:
        table.add_row(
            plain(shard.shard),
            "yes" if shard.complete else "no",
            f"{shard.done:,}",
            "unknown" if shard.expected is None else f"{shard.expected:,}",
            f"{shard.counts['failed'] + shard.counts['poisoned']:,}",
            f"{shard.repeated or 0:,}",
        )
    return table


def _line(found: RunStatus) -> str:
    """One line for a log."""
    failed = found.counts["failed"] + found.counts["poisoned"]
    about = "" if found.exact else "about "
    return (
        f"{found.state}: {found.done}{_of(found.expected, about)} rows, {failed} failed, "
        f"{_speed(found)}, time left {_time_left(found)}"
    )


def _state(found: RunStatus) -> str:
    """What can be known from the folder alone."""
    since = "nothing written yet"
    if found.last_written is not None:
        age = (datetime.now(UTC) - found.last_written).total_seconds()
        since = f"last part written {_duration(max(0.0, age))} ago"
    if found.state == "finished" and found.finished is not None:
        return f"finished at {found.finished:%Y-%m-%d %H:%M:%S %Z}"
    if found.state == "running":
        return f"running; {since}"
    if found.state == "unknown":
        return f"running, or stopped a moment ago; {since}"
    return f"not running; {since}. The same command goes on from here"


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03; days in front."""
    return str(timedelta(seconds=round(seconds)))


def _time_left(found: RunStatus) -> str:
    if found.state == "finished":
        return "-"
    if found.eta_seconds is None:
        return "unknown"
    ends = datetime.now(UTC) + timedelta(seconds=found.eta_seconds)
    return f"{_duration(found.eta_seconds)} (until {ends:%Y-%m-%d %H:%M %Z})"


def _of(expected: int | None, about: str) -> str:
    return "" if expected is None else f" of {about}{expected:,}"


def _speed(found: RunStatus) -> str:
    """As the run itself says it."""
    per_second = found.rows_per_second
    return "unknown" if per_second is None else speed(per_second, found.row_is)


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Every status, in the usual order."""
    from pipeline.runfolder.status import STATUSES

    return {name: counts.get(name, 0) for name in STATUSES}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
