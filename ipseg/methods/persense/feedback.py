"""Which of the first masks become exemplars of the second count.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ipseg.methods.persense.diverse import DiverseExemplars


@dataclass(frozen=True)
class Feedback:
    """The exemplar feedback.

    Attributes:
        exemplars: at most, the first one included; None for as many as the counter takes.
        feedback_file: the released code writes exemplars into a file with a line too few: whatever
            was written last is glued to its successor, which is lost. `released` loses it.
        selection: `score` takes the first exemplar and the best masks, as PerSense. `diverse` takes
            a small, a medium and a large one that look like the first, as PerSense++, where there
            are three others; it needs `boxes`.
        diverse: how those are chosen.
    """

    exemplars: Annotated[int, Field(ge=1)] | None = None
    feedback_file: Literal["released", "fixed"] = "fixed"
    selection: Literal["score", "diverse"] = "score"
    diverse: DiverseExemplars = field(default_factory=DiverseExemplars)

    def chosen(self, scores: Sequence[float], most: int) -> list[int]:
        """The exemplars in their order: 0 is the first one of all, k that of the k-th score.

        Args:
            scores: predicted IoU of each mask, in the order in which they were found.
            most: exemplars, at least 1; `exemplars` counts where it is less.
        """
        if self.exemplars is not None:
            most = min(most, self.exemplars)
        order = np.argsort(-np.asarray(scores, np.float64), kind="stable") + 1
        found = [0, *order.tolist()]
        if self.feedback_file == "released" and scores:
            lost = found.index(len(scores)) + 1  # what follows the one that was written last
            del found[lost : lost + 1]
        return found[:most]
