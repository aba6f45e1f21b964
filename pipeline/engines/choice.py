"""Which engine a run gets where nobody has named one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Literal

from ipseg.rows import Step
from ipseg.wording import counted
from pipeline.planning.cards import visible_card_gb

log = logging.getLogger("ipseg")

EngineName = Literal["auto", "ray", "local"]
# Ray takes some twenty seconds more to start and to end than one process. Its processes work faster
# than threads, which share one Python: on 16 cores by more than twice, so that they have made up
# for it after three hundred images of profile `classical`. On 2 cores they do not, because Ray
# needs a part of them for itself: 5,000 thumbnails took 573 s on Ray, 519 s without. But only Ray
# goes on after a row that ends its process, which counts for more in a run of hours.
FEW_ROWS = 500
FEW_CPUS = 2
ROWS_ON_FEW_CPUS = 10_000


def chosen_engine(
    name: EngineName,
    rows: int | None,
    steps: Sequence[Step],
    *,
    pools_by: str | None = None,
    cpus: int | None = None,
) -> EngineName:
    """The engine of a name, or the one that suits the work; says which and why.

    Args:
        name: 'ray', 'local' or 'auto'.
        rows: as for `suiting_engine`.
        steps: as there.
        pools_by: as there.
        cpus: as there.

    Returns:
        'ray' or 'local'.
    """
    if name == "auto":
        name, why = suiting_engine(rows, steps, pools_by=pools_by, cpus=cpus)
        other = " (--engine ray takes it all the same)" if name == "local" else ""
        log.info("engine %s: %s%s", name, why, other)
    return name


def suiting_engine(
    rows: int | None,
    steps: Sequence[Step],
    *,
    pools_by: str | None = None,
    cpus: int | None = None,
) -> tuple[EngineName, str]:
    """The engine that suits the work, and why.

    Args:
        rows: to go through the steps, a row for each variant; None if nobody has counted them.
        steps: of the work.
        pools_by: the option or setting that says how workers are to be pooled; None if none does.
        cpus: of this machine; None counts those that this process may use.

    Returns:
        'ray' or 'local'; the reason, as a clause.
    """
    why = _why_ray(steps, pools_by)
    return _by_size(rows, steps, cpus or _usable_cpus()) if why is None else ("ray", why)


def _why_ray(steps: Sequence[Step], pools_by: str | None) -> str | None:
    """Why Ray suits the work, however much it is; None if that does not say."""
    if address := os.environ.get("RAY_ADDRESS"):
        return f"RAY_ADDRESS is {address}"
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return "this process has joined a Ray already"
    if pools_by is not None:
        return f"{pools_by} is about its workers"
    if any(step.resources.gpu_memory_gb for step in steps) and visible_card_gb() is not None:
        return "there is a GPU for the networks"
    return None


def _by_size(rows: int | None, steps: Sequence[Step], cpus: int) -> tuple[EngineName, str]:
    """The engine by how much there is to do, and why."""
    if rows is None:
        return "ray", "nobody has counted the images"
    light = all(step.thread_safe for step in steps)  # a network takes hours for so many
    most = ROWS_ON_FEW_CPUS if light and cpus <= FEW_CPUS else FEW_ROWS
    if rows > most:
        return "ray", f"there are more than {counted(most, 'image')}"
    what = f"{counted(rows, 'image')} {'is' if rows == 1 else 'are'}"
    where = f" with {counted(cpus, 'CPU')}" if rows > FEW_ROWS else ""
    return "local", f"{what} done sooner without Ray{where}"


def _usable_cpus() -> int:
    """As many as this container may use."""
    import joblib

    return int(joblib.cpu_count())
