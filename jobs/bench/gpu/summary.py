"""Tables of a file of figures, and the goals held against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from jobs.bench.gpu.figures import DONE, IMAGE, Figures, pace_of
from jobs.bench.gpu.parts import ENCODER, MASKS, RELEASED

_WIDTH = 200  # characters of a table, at most


def print_summary(console: Console, figures: Figures) -> None:
    """Prints what was measured: networks, images, and the goals; the tables in Markdown."""
    card, tiny = figures.machine["card"], figures.machine["tiny"]
    if tiny:
        console.print(
            f"tiny networks on {card}, {figures.date}: the code was tried, and no number here says "
            f"anything about a card",
            soft_wrap=True,
        )
    else:
        console.print(f"measured on {card}, {figures.date}", soft_wrap=True)
    for table in (_encoders(figures), _images(figures)):
        if table.row_count:  # wide, since Markdown knows no cell of two lines
            console.print(table, width=_WIDTH, crop=False)
    for line in () if tiny else goals(figures):
        console.print(line, soft_wrap=True)
    by_state: dict[str, list[str]] = {}
    for name, part in figures.parts.items():
        by_state.setdefault(part["state"], []).append(name)
    done = len(by_state.pop(DONE, []))
    others = [f"{state}: {', '.join(names)}" for state, names in by_state.items()]
    again = "; the same command goes on" if others else ""
    console.print("; ".join([f"{done} parts {'tried' if tiny else 'measured'}", *others]) + again)


def goals(figures: Figures) -> Iterator[str]:
    """What was aimed at, and what was measured."""
    released, ours = figures.done(RELEASED), pace_of(figures, "ipseg")
    if released is not None and ours is not None:
        ratio = released["seconds"] / ours.seconds
        yield (
            f"images of `ipseg` a second against the released code's networks: {ratio:.1f} times "
            f"(goal: 10)"
        )
    for name, measured, published in _best_shares(figures):
        sheet = "" if published is None else f", {published:.0%} of the datasheet's"
        yield f"{name}: {measured:.0%} of the card's measured peak in 16 bits{sheet} (goal: 50 %)"
    for effect in figures.done(f"{MASKS}ipseg") or ():
        if effect["precision"] != "float32" and effect["mean_iou"] is not None:
            yield (
                f"masks in {effect['precision']}: mean IoU {effect['mean_iou']:.3f} with float32 "
                f"(goal: 0.98; of random weights)"
            )


def _best_shares(figures: Figures) -> Iterator[tuple[str, float, float | None]]:
    """Of each network in 16 bits: its shares of the peak as measured and as the vendor has it."""
    for name in figures.parts:
        found = figures.done(name) if name.startswith(ENCODER) else None
        points = [
            each
            for each in ([] if found is None else found["points"])
            if each["precision"] in ("bfloat16", "float16") and "share_of_measured_peak" in each
        ]
        if points:
            best = max(points, key=lambda each: float(each["share_of_measured_peak"]))
            shares = best["share_of_measured_peak"], best.get("share_of_datasheet")
            yield name.removeprefix(ENCODER), *shares


def _encoders(figures: Figures) -> Table:
    table = Table(
        *("network", "precision", "batch", "images/s", "TFLOP/s", "of measured peak", "GB"),
        box=MARKDOWN,
    )
    for name in figures.parts:
        found = figures.done(name) if name.startswith(ENCODER) else None
        best: dict[str, dict[str, Any]] = {}
        for point in [] if found is None else found["points"]:
            known = best.get(point["precision"])
            if point["batch"] and (known is None or _rate(point) > _rate(known)):
                best[point["precision"]] = point
        for precision, point in best.items():
            table.add_row(
                *(name.removeprefix(ENCODER), precision, str(point["batch"])),
                *(f"{_rate(point):.1f}", f"{point['tflops']:.1f}"),
                _percent(point.get("share_of_measured_peak")),
                "-" if point["peak_gb"] is None else f"{point['peak_gb']:.1f}",
            )
    return table


def _rate(point: dict[str, Any]) -> float:
    return float(point["images_per_second"])


def _images(figures: Figures) -> Table:
    table = Table(
        *("profile", "precision", "batch", "s/image of the card", "images/s, one process"),
        box=MARKDOWN,
    )
    for name in figures.parts:
        found = figures.done(name) if name.startswith(IMAGE) else None
        if found is None:
            continue
        best = min(found["batches"], key=lambda each: each["card_seconds"])
        table.add_row(
            *(name.removeprefix(IMAGE), found["precision"], str(best["batch"])),
            *(f"{best['card_seconds']:.4f}", f"{best['images_per_second']:.2f}"),
        )
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
