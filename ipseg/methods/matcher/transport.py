"""The likeness of masks and an object: earth mover's distances of their cells.

A mask is some of the columns of a matrix of costs, its rows are the object's. Any numbers u of the
rows bound the distance of all masks from below: it is at least mean(u) + mean(v) over the mask's
columns, where v is the least of costs - u in each (weak duality). The numbers that solve one mask
bound those of masks like it tightly, so that most need not be solved to know that they are worse.

Source: Matcher (Liu et al., ICLR 2024), section 3.3; released code, `Matcher.py`, by POT as here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import ot

from ipseg.rows import Map

_STEPS = 10_000_000  # of a transport: so many that none is cut short

Values = npt.NDArray[np.float64]


class Transports:
    """Transports between an object and n masks, solved one by one.

    Attributes:
        likeness: (n,) 1 minus the distance; no less than that of masks that are not solved.
        solved: (n,) bool.
    """

    def __init__(self, cells: npt.NDArray[np.bool_], costs: Map) -> None:
        """Takes the masks and the costs; nothing is solved yet.

        Args:
            cells: (n, c) of the masks; one without any counts as all.
            costs: (r, c) from each cell of the object.
        """
        self._cells = cells | ~cells.any(axis=1, keepdims=True)
        self._costs = costs
        self._share = self._cells / self._cells.sum(axis=1, keepdims=True)
        self.likeness = np.full(len(cells), np.inf)
        self.solved = np.zeros(len(cells), bool)
        self._bound(np.zeros(len(costs)))

    def _bound(self, rows: Values) -> None:
        """Bounds what is not solved by numbers of the rows."""
        left = ~self.solved
        columns = (self._costs - rows[:, None]).min(axis=0)
        bound = 1 - rows.mean() - self._share[left] @ columns
        self.likeness[left] = np.minimum(self.likeness[left], bound)

    def solve(self, number: int) -> None:
        """Solves a mask, and all with the same cells."""
        chosen = self._cells[number]
        costs = self._costs[:, chosen].astype(np.float64)
        rows, columns = (np.full(count, 1 / count) for count in costs.shape)
        # With the same weight in each row, and in each column.
        distance, log = ot.emd2(rows, columns, costs, numItermax=_STEPS, log=True)
        same = (self._cells == chosen).all(axis=1)
        self.likeness[same], self.solved[same] = 1 - float(distance), True
        self._bound(log["u"])

    def solve_all(self) -> None:
        """Solves every mask."""
        while not self.solved.all():
            self.solve(int(self.solved.argmin()))


def likenesses(cells: npt.NDArray[np.bool_], costs: Map) -> Values:
    """(n,) of all masks, for `Transports` of these."""
    transports = Transports(cells, costs)
    transports.solve_all()
    return transports.likeness
