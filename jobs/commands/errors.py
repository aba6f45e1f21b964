"""`ipseg errors`: rows that failed, grouped by what went wrong, and how to try them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.commands.options import Json
from jobs.failures import Group, Groups
from jobs.output import print_json
from jobs.terminal import plain, print_problems

EPILOG = """
[bold]Examples[/bold]

    ipseg errors masks/

Only what went wrong while decoding, ten keys for each group:

    ipseg errors masks/ --stage decode --examples 10

The keys of everything that failed on the network, for a script:

    ipseg errors masks/ --type TimeoutError --examples 1000000 --json

Rows fail one by one and never stop a run. To do them again, start the command that made the run
once more with --retry failed, or with --retry failed:TYPE for those of one type. Comparisons with
ground truth that failed, and settings of a comparison that failed on a row, are listed apart;
--retry failed does these again too.

Exit codes: 0; 1 if there is no run at this place.
"""

COLUMNS = (
    *("key", "key_hash", "row_status", "error_stage", "error_type", "error_message"),
    *("incomplete", "chain_errors"),
)
JUDGE = "judge"  # stage of comparisons that failed


@dataclass
class Failures:
    """What went wrong in a run.

    Attributes:
        rows: that failed or are poisoned.
        parts: of rows that did not fail: comparisons with ground truth, and settings of a
            comparison. They have no type of their own to retry by.
        problems: files that cannot be read, a line each.
    """

    rows: Groups
    parts: Groups
    problems: list[str] = field(default_factory=list)


def errors(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    stage: Annotated[str | None, typer.Option(help="Only what failed in this step.")] = None,
    type: Annotated[str | None, typer.Option(help="Only this class of error.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most groups to print.")] = 20,
    examples: Annotated[int, typer.Option(min=0, help="Most keys to print of each group.")] = 3,
    json: Json = False,
) -> None:
    """Show what went wrong in a run: groups of failed rows, with keys, most frequent first."""
    found = group_failures(out, stage=stage, type=type, examples=examples)
    if json:
        print_json(_as_data(out, found, limit))
    else:
        _print(found, limit)


def group_failures(
    out: str, *, stage: str | None = None, type: str | None = None, examples: int = 3
) -> Failures:
    """What failed in a run, each key once.

    Raises:
        OutputError: there is no run at this place.
    """
    from pipeline.runfolder.finished import BROKEN

    found = Failures(Groups(examples), Groups(examples))

    def add(groups: Groups, key: str, message: str | None, where: str, what: str) -> None:
        if stage in (None, where) and type in (None, what):
            groups.add(key, message or "", where, what)

    for row in _failed_rows(out, found.problems):
        key = row["key"]
        if row["row_status"] in BROKEN:
            add(found.rows, key, row["error_message"], row["error_stage"], row["error_type"])
            continue
        lost = {each["chain"]: each for each in row["chain_errors"]}
        for each in lost.values():
            add(found.parts, key, each["error_message"], each["error_stage"], each["error_type"])
        for metric in row.get("metrics", ()):
            if metric["status"] == "failed" and metric["variant"] not in lost:
                add(found.parts, key, metric["error_message"], JUDGE, "")
    return found


def _failed_rows(out: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of which something failed, shard by shard; shards that have none are not read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ipseg.errors import OutputError
    from pipeline.runfolder.finished import BROKEN
    from pipeline.runfolder.folder import list_run, read_manifest, read_success, unreadable
    from pipeline.runfolder.parts import PARTS, Damage, read_batches, shard_folder

    out = out.rstrip("/")
    manifest, listing = read_manifest(out, problems), list_run(out)
    if manifest is None and not listing.parts and not problems:
        raise OutputError(f"no run at {out}: it has neither manifest.json nor {PARTS}")
    broken = pa.array(BROKEN)
    for shard, parts in sorted(listing.parts.items()):
        folder, seen = shard_folder(out, shard), set[bytes]()
        if shard in listing.successes:
            success = read_success(out, shard, problems)
            if success is not None and success.parts.keys() == parts.keys():
                failed = success.incomplete or any(map(success.counts.get, BROKEN))
                if not failed:
                    continue
        for name in sorted(parts):
            try:
                for batch in read_batches(f"{folder}/{name}", COLUMNS, optional=["metrics"]):
                    wanted = pc.or_(
                        pc.is_in(batch["row_status"], value_set=broken),
                        pc.greater(batch["incomplete"], 0),
                    )
                    for record in batch.filter(wanted).to_pylist():
                        if record["key_hash"] not in seen:
                            seen.add(record["key_hash"])
                            yield record
            except Damage as error:
                problems.append(unreadable(f"{folder}/{name}", error))


def _as_data(out: str, found: Failures, limit: int) -> dict[str, Any]:
    rows, parts = found.rows.listed(), found.parts.listed()
    return {
        "out": out,
        "failed": found.rows.count,
        "groups": [_group_data(group, f"failed:{group.type}") for group in rows[:limit]],
        "groups_left_out": max(0, len(rows) - limit),
        "failed_parts": found.parts.count,
        "groups_of_parts": [_group_data(group, "failed") for group in parts[:limit]],
        "groups_of_parts_left_out": max(0, len(parts) - limit),
        "problems": found.problems,
    }


def _group_data(group: Group, retry: str) -> dict[str, Any]:
    return {
        "stage": group.stage,
        "type": group.type,
        "message": group.message,
        "count": group.count,
        "retry": retry,
        "examples": [{"key": key, "message": text} for key, text in group.examples.items()],
    }


def _print(found: Failures, limit: int) -> None:
    console = Console()
    rows, parts = found.rows.listed(), found.parts.listed()
    again = []
    if rows:
        _print_groups(console, "rows", rows, limit)
        types = ",".join(dict.fromkeys(group.type for group in rows[:limit]))
        again.append(f"failed:{types}")
    else:
        console.print("no row failed")
    if parts:
        console.print("of rows that did not fail, these comparisons or settings did:")
        _print_groups(console, "times", parts, limit)
        again = ["failed"]
    for retry in again:
        console.print("To do them again, start the command that made this run once more with")
        console.print(plain(f"    --retry {shlex.quote(retry)}"), soft_wrap=True)
    print_problems(console, found.problems)


def _print_groups(console: Console, of: str, groups: list[Group], limit: int) -> None:
    table = Table(of, "stage", "type", "message", "keys", show_lines=True)
    for group in groups[:limit]:
        keys = Text("\n").join(plain(key) for key in group.examples)
        words = (plain(word) for word in (group.stage, group.type, group.first))
        table.add_row(f"{group.count:,}", *words, keys)
    console.print(table)
    if len(groups) > limit:
        console.print(f"{len(groups) - limit} more groups; see them with --limit {len(groups)}")
