"""Tables of a file of figures, and the goals held against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.bench.gpu.figures import DONE, IMAGE, Figures, pace_of
from jobs.bench.gpu.parts import ENCODER, MASKS, RELEASED


def print_summary(console: Console, figures: Figures) -> None:
    """Prints what was measured: encoders, images, and the goals."""
    tiny = ", tiny networks: these say nothing about a card" if figures.machine["tiny"] else ""
    console.print(f"measured on {figures.machine['card']}, {figures.date}{tiny}", soft_wrap=True)
    console.print(_encoders(figures))
    console.print(_images(figures))
    for line in goals(figures):
        console.print(line, soft_wrap=True)
    states = [each["state"] for each in figures.parts.values()]
    others = {state: states.count(state) for state in dict.fromkeys(states) if state != DONE}
    if others:
        said = ", ".join(f"{number} {state}" for state, number in others.items())
        console.print(f"{states.count(DONE)} parts measured, {said}; the same command goes on")


def goals(figures: Figures) -> Iterator[str]:
    """What was aimed at, and what was measured."""
    released, ours = figures.done(RELEASED), pace_of(figures, "ipseg")
    if released is not None and ours is not None:
        ratio = released["seconds"] / ours.seconds
        yield (
            f"images of `ipseg` a second against the released code's networks: {ratio:.1f} times "
            f"(goal: 10)"
        )
    for name, share in _best_shares(figures):
        yield f"{name}: {share:.0%} of the card's peak in 16 bits (goal: 50 %)"
    for effect in figures.done(f"{MASKS}ipseg") or ():
        if effect["precision"] != "float32" and effect["mean_iou"] is not None:
            yield (
                f"masks in {effect['precision']}: mean IoU {effect['mean_iou']:.3f} with float32 "
                f"(goal: 0.98; of random weights)"
            )


def _best_shares(figures: Figures) -> Iterator[tuple[str, float]]:
    for name in figures.parts:
        found = figures.done(name) if name.startswith(ENCODER) else None
        points = [] if found is None else found["points"]
        shares = [
            each["share_of_measured_peak"]
            for each in points
            if each["precision"] in ("bfloat16", "float16") and "share_of_measured_peak" in each
        ]
        if shares:
            yield name.removeprefix(ENCODER), max(shares)


def _encoders(figures: Figures) -> Table:
    table = Table("encoder", "precision", "batch", "images/s", "TFLOP/s", "of peak", "GB")
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
    table = Table("profile", "precision", "batch", "s/image of the card", "images/s, one process")
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
