"""A plain function as a step of a chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ipseg.rows import Row, Step


@dataclass
class FunctionStep(Step):
    """Runs `function(rows) -> rows`: one row out for each row in, in order, not edited in place.

    Attributes:
        function: that can be pickled by name (of a module that workers can import).
        requires: columns that must be there before.
        provides: columns of `ipseg.columns.COLUMNS` that are there after.
    """

    function: Callable[[list[Row]], list[Row]]
    requires: tuple[str, ...] = ("objects",)  # type: ignore[misc]  # of the class elsewhere
    provides: tuple[str, ...] = ("objects",)  # type: ignore[misc]

    def __post_init__(self) -> None:
        self.name = self.function.__name__  # type: ignore[misc]

    def __call__(self, rows: list[Row]) -> list[Row]:
        """What the function makes of the rows."""
        return self.function(rows)
