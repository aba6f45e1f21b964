"""What a training reports on its way, between the worker that reports and the command."""

from __future__ import annotations


class Board:
    """Entries until they are taken; an actor, alone in its module so that it starts soon."""

    def __init__(self) -> None:
        self._entries: list[dict[str, float]] = []

    def put(self, entry: dict[str, float]) -> None:
        """One more."""
        self._entries.append(entry)

    def take(self) -> list[dict[str, float]]:
        """All that came since the last call."""
        taken, self._entries = self._entries, []
        return taken
