"""Runs the parts that a file of figures lacks, one after the other, within a budget."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ipseg.errors import ConfigError, FailureBudgetError, OutputError
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.figures import DONE, FAILED, LEFT, SKIPPED, Figures, read_figures
from jobs.bench.gpu.parts import CARD, Part, all_parts
from jobs.bench.gpu.summary import print_summary

log = logging.getLogger("ipseg")

_OVERRUN = 2.0  # times its estimate, after which a part starts no further points
_LEAST = 0.5  # of the estimate has to be left of the budget for a part to start


def run_gpu(
    out: Path, budget: float, *, short: bool, parts: Sequence[Part] | None = None
) -> Figures:
    """Measures what is not in the file yet, and prints what the file has then.

    Args:
        out: the file; an existing one is gone on with.
        budget: seconds after which no part is started that needs more than what is left.
        short: tiny networks, on the card if there is one: tries the code, measures nothing.
        parts: in order; None for all.

    Raises:
        ConfigError: there is no NVIDIA card.
        OutputError: the file cannot be read or written, or is of another machine.
        FailureBudgetError: parts failed; what was measured is in the file.
    """
    start = time.perf_counter()
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not short:
        raise ConfigError(
            "there is no NVIDIA card here (torch.cuda.is_available() is False): --short tries the "
            "same code with tiny networks on the CPU, --plan lists what would be measured"
        )
    card = Card(device, short, **({"runs": 1, "patience": 0.0} if short else {}))
    figures = _begin(out, card)
    every = all_parts() if parts is None else parts
    console = Console(stderr=True)
    try:
        for number, part in enumerate(every, start=1):
            if figures.done(part.name) is not None:
                continue
            left = budget - (time.perf_counter() - start)
            needed = part.estimate(short=short)
            if left < needed * _LEAST:
                said = f"needs about {needed:g} s, of the budget {max(left, 0):.0f} s were left"
                found: dict[str, Any] = {"state": LEFT, "reason": said}
            else:
                found = _measured(card, part, min(left, _OVERRUN * needed))
            figures.parts[part.name] = found
            figures.date = f"{datetime.now(UTC):%Y-%m-%d}"
            figures.write(out)
            console.print(f"{number}/{len(every)} {part.name}: {_in_words(found)}", soft_wrap=True)
    finally:
        card.close()
    print_summary(Console(), figures)
    if failed := [name for name, each in figures.parts.items() if each["state"] == FAILED]:
        raise FailureBudgetError(
            f"{len(failed)} of {len(every)} parts failed: {', '.join(failed)}; what was measured "
            f"is in {out}, and the same command tries them again"
        )
    return figures


def print_plan(budget: float, out: Path | None, *, short: bool) -> None:
    """Prints every part, how long it is estimated to take, and which fit into the budget.

    Then what the file has by now, if there is one.

    Args:
        budget: seconds.
        out: the file; what it has is not measured again.
        short: of the short form.

    Raises:
        OutputError: the file cannot be read.
    """
    figures = read_figures(out) if out is not None and out.exists() else Figures({})
    table = Table("part", "what", "s", "together", "")
    for column in table.columns[2:4]:
        column.justify = "right"
    together, beyond = 0.0, 0
    for part in all_parts():
        seconds = part.estimate(short=short)
        if figures.done(part.name) is not None:
            table.add_row(part.name, part.about, f"{seconds:g}", "", "measured")
            continue
        fits = together + seconds <= budget
        if fits:
            together += seconds
        beyond += not fits
        note = "" if fits else "for another call"
        table.add_row(part.name, part.about, f"{seconds:g}", f"{together:g}", note)
    console = Console()
    console.print(table)
    again = f"; {beyond} parts are for another call with the same --out" if beyond else ""
    of = "tiny networks on two CPU cores" if short else "an H100"
    console.print(
        f"{together:g} s of a budget of {budget:g} s, {budget - together:g} s in reserve{again}. "
        f"Seconds are estimates for {of}; a part that takes twice as long stops at the next point",
        soft_wrap=True,
    )
    if figures.parts:
        print_summary(console, figures)


def _begin(out: Path, card: Card) -> Figures:
    machine = card.machine()
    if not out.exists():
        return Figures(machine)
    figures = read_figures(out)
    if figures.machine != machine:
        differs = [name for name in machine if figures.machine.get(name) != machine[name]]
        raise OutputError(
            f"{out} has figures of another machine (it differs in {', '.join(differs)}): give "
            f"another --out"
        )
    card.peaks = (figures.done(CARD) or {"peaks": {}})["peaks"]
    return figures


def _measured(card: Card, part: Part, seconds: float) -> dict[str, Any]:
    if not part.keeps:
        card.kept = None
        gc.collect()
        card.free()
    start = time.perf_counter()
    card.deadline = start + seconds
    try:
        found = {"state": DONE, "figures": part.run(card)}
    except ImportError as error:
        found = {"state": SKIPPED, "reason": f"a package is missing: {error}"}
    except Exception as error:  # one part must not cost the others; `run_gpu` raises at the end
        log.warning("%s failed", part.name, exc_info=True)
        found = {"state": FAILED, "reason": f"{type(error).__name__}: {error}"}
    gc.collect()
    card.free()
    return found | {"seconds": time.perf_counter() - start}


def _in_words(found: dict[str, Any]) -> str:
    taken = f", {found['seconds']:.1f} s" if "seconds" in found else ""
    reason = f": {found['reason']}" if "reason" in found else ""
    return f"{found['state']}{reason}{taken}"
