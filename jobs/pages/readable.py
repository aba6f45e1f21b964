"""Quantities with units, as people write them."""

from __future__ import annotations

from datetime import datetime

NONE = "–"


def readable_bytes(value: float) -> str:
    """Bytes with a unit, powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def readable_duration(seconds: float) -> str:
    """Seconds, or minutes, or hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def readable_count(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u2009")


def readable_time(text: str | None) -> str:
    """A time in ISO form as day, month, year and time of day; a dash for none."""
    return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M:%S %Z}".strip() if text else NONE
