"""Numbers, protocols and gaps in words: the same ones in the terminal and in the report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

NONE = "–"


def percent(value: float | None) -> str:
    """A share as papers print it: 0.4302 is 43.0."""
    return NONE if value is None else f"{100 * value:.1f}"


def span(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval of shares, in percent."""
    return NONE if interval is None else " to ".join(percent(end) for end in interval)


def points(delta: float | None) -> str:
    """A difference in percentage points, always with its sign."""
    if delta is None:
        return NONE
    return f"{delta:+.1f}".replace("-", "\N{MINUS SIGN}")


def moment(text: str | None) -> str:
    """A time in ISO form as people write it."""
    return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M:%S %Z}".strip() if text else NONE


def fold_title(fold: str) -> str:
    """A fold as a line of a table is called; a benchmark without folds has one of no name."""
    if not fold:
        return "all episodes"
    return f"fold {fold}" if fold.isdecimal() else fold


def gaps(total: int, failed: int, missing: int) -> str:
    """What keeps a result from being whole."""
    parts = []
    if failed:
        parts.append(f"{failed} of {total} episodes failed")
    if missing:
        parts.append(f"{missing} missing" if failed else f"{missing} of {total} episodes missing")
    return "PARTIAL: " + ", ".join(parts)


def protocol_lines(protocol: dict[str, Any]) -> list[tuple[str, str]]:
    """How masks were compared, (subject, answer) for each choice that changes the number."""
    side = protocol["side"]
    rules = {
        "nearest": "nearest pixel",
        "linear": "linear, then above zero, which grows it by a border",
    }
    assigned = {
        "binary": "each class judged by itself, in pictures that show it",
        "argmax": "each pixel goes to the class that is surest, or to the background",
    }
    return [
        ("Compared at", "the original size" if side is None else f"{side} × {side} px, squashed"),
        (
            "Ground truth resized by",
            "–" if side is None else rules[protocol["ground_truth_resize"]],
        ),
        (
            "Examples come",
            "with their ground-truth mask" if protocol["given_mask"] else "without a mask",
        ),
        ("Assignment", assigned[protocol["assign"]]),
        ("Outlines", "compared too" if protocol["boundaries"] else "not compared"),
    ]
