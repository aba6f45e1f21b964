"""`ipseg export` on the terminal: what an export has, and what was lost."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ipseg.wording import counted
from jobs.output import print_json
from jobs.terminal import plain
from pipeline.export.exported import Exported
from pipeline.export.tally import Tally, losses


def print_export(done: Exported, *, as_json: bool) -> None:
    """Prints a table of concepts and sides, warnings and losses to stdout; or all of it as JSON."""
    tally = done.tally
    if as_json:
        print_json(
            {
                **{"to": done.to, "concepts": list(done.concepts), **tally.record()},
                **{"warnings": done.warnings(), "lost": done.lost},
            }
        )
        return
    console = Console(highlight=False)
    console.print(_table(done))
    for line in done.warnings():
        console.print(plain(line), style="yellow", soft_wrap=True)
    for line in _lines(tally):
        console.print(plain(line), soft_wrap=True)
    for line in losses(done.lost):
        console.print(plain(f"lost: {line}"), style="yellow", soft_wrap=True)
    if tally.left_out:
        said = f"{counted(tally.left_out, 'image')} could not be exported:"
        console.print(plain(said), style="bold red", soft_wrap=True)
        for line in tally.examples:
            console.print(plain(f"  {line}"), style="red", soft_wrap=True)
    if done.to is None:
        console.print(plain("nothing was written; give --to FOLDER in place of --dry-run"))
    else:
        console.print(plain(f"written: {done.to}; how to load it: {done.to}/README.md"))


def _table(done: Exported) -> Table:
    table = Table("concept")
    for name in done.tally.sides:
        table.add_column(f"{name}: images", justify="right")
        table.add_column("objects", justify="right")
    for concept in done.concepts:
        cells = [
            f"{number:,}"
            for side in done.tally.sides.values()
            for number in (side.with_concept[concept], side.objects[concept])
        ]
        table.add_row(plain(concept), *cells)
    table.add_section()
    every, empty = [], []
    for side in done.tally.sides.values():
        every += [f"{side.images:,}", f"{side.objects.total():,}"]
        empty += [f"{side.empty:,}", "0"]
    table.add_row("all", *every)
    table.add_row("without an object", *empty)
    return table


def _lines(tally: Tally) -> list[str]:
    lines = []
    if tally.reviewed:
        status = ", ".join(f"{n:,} {name}" for name, n in sorted(tally.statuses.items()))
        lines.append(f"reviewed: {counted(tally.reviewed, 'image')}; objects: {status}")
    if tally.failed:
        lines.append(f"{counted(tally.failed, 'row')} of the run failed: in no side")
    if tally.vanished:
        lines.append(f"{counted(tally.vanished, 'object')} lost all pixels to surer ones")
    if tally.undecided:
        undecided = counted(tally.undecided, "object")
        lines.append(f"{undecided} that nobody decided about left out, where people did decide")
    if tally.disputed:
        disputed = counted(tally.disputed, "object")
        lines.append(f"{disputed} on which people disagree: the latest answer counts")
    if tally.encoded_again:
        lines.append(f"{counted(tally.encoded_again, 'image')} turned, cropped or converted")
    return lines
