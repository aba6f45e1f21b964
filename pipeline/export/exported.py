"""What came of an export, for those who asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from ipseg.wording import counted
from pipeline.export.tally import Tally


@dataclass(frozen=True)
class Exported:
    """An export, or what one would be.

    Attributes:
        to: its folder; None if nothing was written.
        tally: what it has.
        concepts: in order of their numbers.
        lost: what was lost, by kind.
        other_run: whether it replaced the export of another run.
        stale_rules: of the review, made before the run was scored again: they do not count.
    """

    to: str | None
    tally: Tally
    concepts: tuple[str, ...]
    lost: dict[str, int]
    other_run: bool = False
    stale_rules: int = 0

    def warnings(self) -> list[str]:
        """What somebody should know before training with it."""
        stale = (
            f"{counted(self.stale_rules, 'rule')} of the review, made before `ipseg rescore`, not "
            f"applied: make them again in `ipseg review`"
        )
        said = f"the export of another run was replaced; what both have keeps its number: {self.to}"
        return [
            *([said] if self.other_run else []),
            *([stale] if self.stale_rules else []),
            *self.tally.warnings(self.concepts),
        ]
