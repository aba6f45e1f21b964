"""The row, the step and what holds a chain of steps together.

A *row* is a plain dict with declared columns (`ipseg.columns`). A *step* turns rows into rows and
knows nothing of where it runs. A method is two lists of steps: one for prompts, one for images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ipseg.errors import ConfigError

Row = dict[str, Any]
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Mask = npt.NDArray[np.bool_]  # (H, W)
Map = npt.NDArray[np.float32]  # (h, w)
Arrays = dict[str, npt.NDArray[Any]]  # name -> array, as what is kept of a concept

ERROR_MESSAGE_LENGTH = 500


@dataclass(frozen=True)
class Resources:
    """What one worker of a step needs, wherever it runs.

    Attributes:
        cpus: cores kept busy while the step works.
        gpu_memory_gb: GPU memory for weights and activations, in GB; 0 means no GPU. The plan
            turns it into a fraction of the cards that are really there.
    """

    cpus: float = 1.0
    gpu_memory_gb: float = 0.0


class Step(ABC):
    """One step of a method: a function from rows to rows, with its needs declared.

    A step gets live rows only (none that failed earlier) and returns exactly one row for each, in
    order, with the columns it `provides` added. It never edits a row or an array in place. What a
    single row breaks is raised; the runner finds the row and records the error on it.

    Attributes:
        name: short verb, for plans, errors and reports.
        requires: columns that must be there before.
        provides: columns that are there after.
        uses: columns it takes into account where a row has them.
        loads_model: True if `setup` is worth doing once per worker and keeping: the step then
            runs in a pool of actors, otherwise in tasks.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    provides: ClassVar[tuple[str, ...]]
    uses: ClassVar[tuple[str, ...]] = ()
    loads_model: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        """What one worker of this step needs."""
        return Resources()

    @property
    def networks(self) -> Sequence[Any]:
        """Parts with networks that it loads; steps with equal ones run in the same worker."""
        return ()

    @property
    def thread_safe(self) -> bool:
        """Whether several threads may call it at a time; a model is taken not to allow that."""
        return not self.loads_model

    def setup(self) -> None:  # noqa: B027  (most steps have nothing to load)
        """Loads models, imports what is large; called before the first rows of a worker."""

    @abstractmethod
    def __call__(self, rows: list[Row]) -> list[Row]:
        """Returns the rows with the columns in `provides` added."""


def is_failed(row: Row) -> bool:
    """True if an earlier step failed on this row; later steps do not see it."""
    return row.get("error_stage") is not None


def failed(row: Row, stage: str, error: BaseException) -> Row:
    """The row marked as failed in `stage`; the message is cut at 500 characters."""
    # A message may hold a name that is not valid UTF-8, which no file could keep.
    message = (str(error) or type(error).__name__).encode("utf-8", "backslashreplace").decode()
    return {
        **row,
        "error_stage": stage,
        "error_type": type(error).__name__,
        "error_message": message[:ERROR_MESSAGE_LENGTH],
    }


def check_chain(steps: Sequence[Step], given: Sequence[str]) -> None:
    """Refuses a list of steps in which one needs a column that nothing before it provides.

    Args:
        steps: the chain, in order.
        given: columns that the source's rows carry.

    Raises:
        ConfigError: names the step, the column, and the step that would provide it, if any.
    """
    available = set(given)
    for position, step in enumerate(steps):
        missing = [column for column in step.requires if column not in available]
        if missing:
            later = [s.name for s in steps[position:] if missing[0] in s.provides]
            hint = f"; step '{later[0]}' provides it but comes later" if later else ""
            raise ConfigError(f"step '{step.name}' needs column '{missing[0]}'{hint}")
        available.update(step.provides)
