"""Which engine a run gets where nobody has named one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Literal

from ipseg.rows import Step
from pipeline.planning.cards import visible_card_gb

log = logging.getLogger("ipseg")

EngineName = Literal["auto", "ray", "local"]
# Ray takes some ten seconds more to start and to end than one process. Its processes work faster
# than threads, which share one Python: on 2 cores by a tenth, so that they have made up for it
# after a thousand images of profile `classical`; on 16 by more than twice, after three hundred.
FEW_ROWS = 500


def chosen_engine(
    name: EngineName, rows: int | None, steps: Sequence[Step], *, calibrated: bool = False
) -> EngineName:
    """The engine of a name, or the one that suits the work; says which and why.

    Args:
        name: 'ray', 'local' or 'auto'.
        rows: to go through the steps, a row for each variant; None if nobody has counted them.
        steps: of the work.
        calibrated: pools are to be sized by what stages cost.

    Returns:
        'ray' or 'local'.
    """
    if name != "auto":
        return name
    why = _why_ray(rows, steps, calibrated)
    if why is not None:
        log.info("engine ray: %s", why)
        return "ray"
    log.info("engine local: %d images are done sooner without starting Ray (--engine ray)", rows)
    return "local"


def _why_ray(rows: int | None, steps: Sequence[Step], calibrated: bool) -> str | None:
    """Why Ray suits the work; None if it does not."""
    if "RAY_ADDRESS" in os.environ:
        return f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}"
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return "this process has joined a Ray already"
    if calibrated:
        return "--calibrate sizes its pools"
    if any(step.resources.gpu_memory_gb for step in steps) and visible_card_gb() is not None:
        return "there is a GPU for the networks"
    if rows is None:
        return "nobody has counted the images"
    return f"there are more than {FEW_ROWS} images" if rows > FEW_ROWS else None
