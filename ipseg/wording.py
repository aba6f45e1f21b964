"""Numbers with their nouns, as messages and pages have them."""

from __future__ import annotations

_SLOW = 0.1  # a second; below, seconds for each say more


def counted(number: int, noun: str) -> str:
    """`1 image`, `2,000 images`; the noun is one whose plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def speed(per_second: float, noun: str) -> str:
    """`1.9 images/s`, or `25 s for each image` where they are slow; per second, above 0."""
    if per_second < _SLOW:
        return f"{1 / per_second:.0f} s for each {noun}"
    return f"{per_second:,.1f} {noun}s/s"
