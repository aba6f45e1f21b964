"""`ipseg weights`: what a profile needs, where it is, how to get it; tiny stand-ins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ipseg.config import Config
from ipseg.errors import WeightsError
from ipseg.weights.catalogue import Need, needs
from ipseg.weights.fetching import fetch
from ipseg.weights.finding import Checked, Found, check, find
from jobs.output import print_json

_SHOWN_DIGITS = 12  # of a sha256 in a table; all of them with --json


def list_weights(config: Config, *, as_json: bool) -> None:
    """Prints what the profile needs and where it is, to stdout."""
    found = _found(config)
    _print(config, found, as_json=as_json)
    if not as_json:
        _print_notes(Console(), config, found)


def check_weights(config: Config, *, as_json: bool) -> None:
    """Reads all weights of the profile, prints their sha256 and what is wrong with them.

    Raises:
        WeightsError: something is missing, changed or damaged; names the first, and the remedy.
    """
    checked = [(found, check(found)) for found in _found(config)]
    if as_json:
        print_json(
            [{**_summary(found), "sha256": c.sha256, "faults": c.faults} for found, c in checked]
        )
    else:
        Console().print(_checked_table(checked) if checked else _nothing(config))
    bad = [(found, c.faults[0]) for found, c in checked if c.faults]
    if bad:
        found, fault = bad[0]
        again = "delete that file; " if found.complete else ""
        raise WeightsError(
            f"{len(bad)} of {len(checked)} weights of profile '{config.profile}' cannot be used, "
            f"first {found.need.name}: {fault}; {again}{_remedy(found.need, config)}"
        )


def fetch_weights(config: Config, *, as_json: bool) -> None:
    """Downloads what the profile needs and is not there, then prints where all of it is.

    Raises:
        WeightsError: something cannot be fetched; what is on the hub is fetched first.
    """
    found = [
        each if each.complete or _by_hand(each) else fetch(each.need, config.models)
        for each in _found(config)
    ]
    _print(config, found, as_json=as_json)
    if lacking := [each.need for each in found if not each.complete]:
        raise WeightsError("; ".join(_remedy(need, config) for need in lacking))


def print_tiny(folder: Path, *, as_json: bool) -> None:
    """Writes tiny random weights to a folder and says how to use them.

    Raises:
        OutputError: the folder holds other files, or cannot be written.
    """
    from ipseg.weights.tiny import write_tiny  # takes seconds: it needs every model library

    sums = write_tiny(folder)
    size = sum((folder / name).stat().st_size for name in sums)
    if as_json:
        print_json({"root": str(folder), "bytes": size, "files": sums})
        return
    console = Console()
    console.print(f"{len(sums)} files, {size / 1e6:.1f} MB: random weights, to try the code out")
    console.print(
        f"use: ipseg segment ... --profile ipseg --set models.root={folder}", soft_wrap=True
    )


def _found(config: Config) -> list[Found]:
    return [find(need, config.models) for need in needs(config.resolved)]


def _by_hand(found: Found) -> bool:
    """Whether it is on no hub."""
    return found.need.source.layout == "file"


def _print(config: Config, found: Sequence[Found], *, as_json: bool) -> None:
    if as_json:
        print_json([_summary(each) for each in found])
    elif found:
        _print_found(Console(), found)
    else:
        Console().print(_nothing(config))


def _summary(found: Found) -> dict[str, Any]:
    source = found.need.source
    return {
        "parts": found.need.parts,
        "name": found.need.name,
        "revision": found.revision or None,
        "licence": source.licence,
        "commercial_use": source.commercial,
        "megabytes": round(found.size / 1e6, 1) if found.complete else source.megabytes,
        "where": found.where or None,
        "location": None if found.location is None else str(found.location),
        "missing": list(found.missing),
    }


def _print_found(console: Console, found: Sequence[Found]) -> None:
    """Four lines for each, not a table: an id has to be whole, however narrow the terminal."""
    for each in found:
        source = each.need.source
        licence = source.licence
        if source.commercial is False:
            licence += " [red](non-commercial)[/red]"
        location = escape(str(each.location or ""))
        place = f"{each.where}: {location}"
        if each.missing:
            place = "[red]missing[/red]" + (f" in {location}" if location else "")
        revision = f", revision {each.revision[:8]}" if each.revision else ""
        lines = (
            f"[bold]{escape(each.need.name)}[/bold]",
            f"    for {', '.join(each.need.parts)}",
            f"    {_size(each)}{revision}, {licence}",
            f"    {place}",
        )
        console.print("\n".join(lines), soft_wrap=True, highlight=False)


def _nothing(config: Config) -> str:
    return f"profile '{config.profile}' needs no weights"


def _size(found: Found) -> str:
    if found.complete:
        return f"{found.size / 1e6:.0f} MB" if found.size >= 1e6 else f"{found.size / 1e3:.0f} kB"
    megabytes = found.need.source.megabytes
    return "not known" if megabytes is None else f"about {megabytes} MB"


def _print_notes(console: Console, config: Config, found: Sequence[Found]) -> None:
    if any(each.where == "tiny" for each in found):
        console.print("tiny: random weights, to try the code out; no use for segmenting")
    missing = [each for each in found if not each.complete]
    if not all(map(_by_hand, missing)):
        console.print(f"get what is on the hub: {_fetch_command(config)}", soft_wrap=True)
    for each in filter(_by_hand, missing):
        console.print(_remedy(each.need, config), soft_wrap=True)


def _checked_table(checked: Sequence[tuple[Found, Checked]]) -> Table:
    table = Table()
    for heading in ("weights", "file", "sha256", "state"):
        table.add_column(heading, overflow="fold")
    for found, result in checked:
        published = {file.name: file.published for file in found.files}
        state = "\n".join(f"[red]{escape(fault)}[/red]" for fault in result.faults)
        name = found.need.name
        for file, digest in result.sha256.items() or [("", "")]:
            good = "as published" if published.get(file) else "opens; its published sum is unknown"
            if found.where == "tiny":
                good = "as written; random"
            table.add_row(name, file, digest[:_SHOWN_DIGITS], state or good)
            name = ""
            state = state and " "
    return table


def _remedy(need: Need, config: Config) -> str:
    if need.source.layout != "file":
        return f"get it with `{_fetch_command(config)}`"
    root = config.models.root
    place = f"{root}/{need.name}" if root else f"ROOT/{need.name} and set models.root=ROOT"
    page = need.source.page
    if not page:
        return f"{need.name} is no published name: put the file where the profile says"
    return f"{need.name} is not on the hub: get it from {page}, put it at {place}"


def _fetch_command(config: Config) -> str:
    root = f" --set models.root={config.models.root}" if config.models.root else ""
    return f"ipseg weights fetch {config.profile}{root}"
