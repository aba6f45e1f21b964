"""Text from data on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

MOST_PROBLEMS = 20  # printed; a whole bucket may be out of reach


def plain(text: str) -> Text:
    """Text in which nothing is markup and nothing can steer the terminal."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def print_problems(console: Console, problems: Sequence[str]) -> None:
    """What could not be read, a line each."""
    for line in problems[:MOST_PROBLEMS]:
        console.print(plain(line), style="yellow", soft_wrap=True)
    if len(problems) > MOST_PROBLEMS:
        console.print(f"and {len(problems) - MOST_PROBLEMS} more; --json has them all")
