"""`ipseg errors`: rows that failed, grouped by what went wrong, and how to try them again."""

from __future__ import annotations

import json as json_format
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

    ipseg errors masks/

Only what went wrong while decoding, ten keys for each group:

    ipseg errors masks/ --stage decode --examples 10

The keys of everything that failed on the network, for a script:

    ipseg errors masks/ --type TimeoutError --examples 1000000 --json

Rows fail one by one and never stop a run. To do them again, start the command that made the run
once more with --retry failed, or with --retry failed:TYPE for those of one type.

Exit codes: 0; 1 if there is no run at this place.
"""

MOST_GROUPS = 1000  # messages beyond it are counted together: a run may fail a million ways
OTHER = "(other messages)"
COLUMNS = ("key", "key_hash", "row_status", "error_stage", "error_type", "error_message")
BROKEN = ("failed", "poisoned")


@dataclass
class Group:
    """Rows that failed in the same way.

    Attributes:
        stage: step that failed.
        type: class of the exception.
        message: without the numbers and names that differ from row to row.
        count: rows.
        examples: (key, whole message) of the first of them.
    """

    stage: str
    type: str
    message: str
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def retry(self) -> str:
        """Value of `--retry` that does rows of this type again."""
        return f"failed:{self.type}"


def errors(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    stage: Annotated[str | None, typer.Option(help="Only rows that failed in this step.")] = None,
    type: Annotated[str | None, typer.Option(help="Only this class of error.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most groups to print.")] = 20,
    examples: Annotated[int, typer.Option(min=0, help="Most keys to print of each group.")] = 3,
    json: Json = False,
) -> None:
    """Show what went wrong in a run: groups of failed rows, with keys, most frequent first."""
    groups, problems = group_failures(out, stage=stage, type=type, examples=examples)
    if json:
        typer.echo(json_format.dumps(_as_data(out, groups, limit, problems)))
    else:
        _print(groups, limit, problems)


def group_failures(
    out: str, *, stage: str | None = None, type: str | None = None, examples: int = 3
) -> tuple[list[Group], list[str]]:
    """Failed and poisoned rows of a run, each key once, in groups, the most frequent first.

    Returns:
        The groups, and one line for each file that cannot be read.

    Raises:
        OutputError: there is no run at this place.
    """
    problems: list[str] = []
    groups: dict[tuple[str, str, str], Group] = {}
    for record in _failed_rows(out, problems):
        where, what = str(record["error_stage"]), str(record["error_type"])
        if (stage is not None and where != stage) or (type is not None and what != type):
            continue
        text = record["error_message"] or ""
        message = normalise(text)
        if (where, what, message) not in groups and len(groups) >= MOST_GROUPS:
            message = OTHER
        group = groups.setdefault((where, what, message), Group(where, what, message))
        group.count += 1
        if len(group.examples) < examples:
            group.examples.append((record["key"], text))
    found = sorted(groups.values(), key=lambda g: (-g.count, g.stage, g.type, g.message))
    return found, problems


def normalise(message: str) -> str:
    """A message without what differs from row to row: addresses, paths, file names, numbers."""
    for pattern, sign in _VARIABLE:
        message = pattern.sub(sign, message)
    return message


_VARIABLE = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s'\",;)]+", re.IGNORECASE), "<url>"),
    # With a folder in front: `a/b`, `/a`, `../a.jpg`; dates and fractions of numbers are not.
    (re.compile(r"(?<![\w<])(?:[\w.~@#=+-]*[A-Za-z_.~][\w.~@#=+-]*)?(?:/[\w.~@#=+-]+)+"), "<path>"),
    (
        re.compile(
            r"(?<![\w<])[\w.~@#=+-]+\.(?:jpe?g|png|tiff?|webp|bmp|gif|parquet|pq|tar|tgz)\b",
            re.IGNORECASE,
        ),
        "<file>",
    ),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)


def _failed_rows(out: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Failed rows, shard after shard; shards that say they have none are not read."""
    import pyarrow.compute as pc

    from ipseg.errors import OutputError
    from ipseg.storage.files import exists
    from pipeline.runfolder.folder import Damage, list_run, read_columns, read_success, unreadable

    out = out.rstrip("/")
    listing = list_run(out)
    if not listing.parts and not exists(f"{out}/manifest.json"):
        raise OutputError(
            f"no run at {out}: it has neither manifest.json nor shard=*/part-*.parquet"
        )
    for shard, parts in sorted(listing.parts.items()):
        folder, seen = f"{out}/shard={shard}", set[bytes]()
        if shard in listing.successes:
            success = read_success(folder, problems)
            whole = success is not None and success.parts.keys() == parts.keys()
            if success is not None and whole and not any(map(success.counts.get, BROKEN)):
                continue
        for name in sorted(parts):
            try:
                for batch in read_columns(f"{folder}/{name}", COLUMNS):
                    broken = pc.is_in(batch["row_status"], value_set=_broken())
                    for record in batch.filter(broken).to_pylist():
                        if record["key_hash"] not in seen:
                            seen.add(record["key_hash"])
                            yield record
            except Damage as error:
                problems.append(unreadable(f"{folder}/{name}", error))


def _broken() -> Any:  # noqa: ANN401
    import pyarrow as pa

    return pa.array(BROKEN)


def _as_data(out: str, groups: list[Group], limit: int, problems: list[str]) -> dict[str, Any]:
    return {
        "out": out,
        "failed": sum(group.count for group in groups),
        "groups": [
            {
                "stage": group.stage,
                "type": group.type,
                "message": group.message,
                "count": group.count,
                "retry": group.retry,
                "examples": [{"key": key, "message": text} for key, text in group.examples],
            }
            for group in groups[:limit]
        ],
        "groups_left_out": max(0, len(groups) - limit),
        "problems": problems,
    }


def _print(groups: list[Group], limit: int, problems: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jobs.commands.status import plain, print_problems

    console = Console()
    if groups:
        table = Table("rows", "stage", "type", "message", "keys", show_lines=True)
        for group in groups[:limit]:
            keys = Text("\n").join(plain(key) for key, _ in group.examples)
            words = (plain(word) for word in (group.stage, group.type, group.message))
            table.add_row(f"{group.count:,}", *words, keys)
        console.print(table)
        if len(groups) > limit:
            console.print(f"{len(groups) - limit} more groups; see them with --limit {len(groups)}")
        types = ",".join(dict.fromkeys(group.type for group in groups[:limit]))
        console.print("To do them again, start the command that made this run once more with")
        console.print(plain(f"    --retry {shlex.quote(f'failed:{types}')}"), soft_wrap=True)
    else:
        console.print("no row failed")
    print_problems(console, problems)
