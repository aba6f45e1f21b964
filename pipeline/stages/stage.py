"""Steps to stages: what runs together in one worker, and which columns travel between workers.

A step that loads a model starts a pool of actors; the others run in tasks. A step that provides a
local column (pixels) runs wherever that column is needed, so an image is decoded in each stage that
needs its pixels and only its encoded bytes travel. Steps that load equal networks run in the same
worker, with all that lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ipseg.columns import ERROR_COLUMNS, is_local
from ipseg.networks.shared import network_key
from ipseg.rows import Resources, Step


@dataclass(frozen=True)
class Stage:
    """Steps that run one after the other in the same worker.

    Attributes:
        name: of its main steps.
        steps: in order, with the local steps they need.
        actor: True if a model is loaded, so that workers are kept.
        columns: what leaves the stage: all that a later stage or the output needs.
        cpus: cores of one worker where somebody has set them; None for what its steps declare.
        gpu_memory_gb: the same of its GPU memory.
        actors: workers in its pool where somebody has set them; None lets the plan decide.
    """

    name: str
    steps: tuple[Step, ...] = field(repr=False)
    actor: bool
    columns: tuple[str, ...]
    cpus: float | None = None
    gpu_memory_gb: float | None = None
    actors: int | None = None

    @property
    def resources(self) -> Resources:
        """Of one worker: its steps take turns on the CPU, but their models are loaded together."""
        cpus = max(step.resources.cpus for step in self.steps)
        networks = {network_key(part): part for step in self.steps for part in step.networks}
        beside = [  # what a step needs beyond its networks
            step.resources.gpu_memory_gb - sum(part.gpu_memory_gb for part in step.networks)
            for step in self.steps
        ]
        memory = sum(part.gpu_memory_gb for part in networks.values()) + max(0.0, *beside, 0.0)
        return Resources(
            cpus if self.cpus is None else self.cpus,
            memory if self.gpu_memory_gb is None else self.gpu_memory_gb,
        )


def build_stages(steps: Sequence[Step], given: Sequence[str], wanted: Sequence[str]) -> list[Stage]:
    """Groups a checked chain of steps into stages.

    Args:
        steps: the chain, in order.
        given: columns the source's rows carry.
        wanted: columns that must be there at the end.
    """
    groups = _joined(_grouped(steps))
    with_local = [_with_local(group, steps) for group in groups]
    stages = []
    for index, (main, group) in enumerate(zip(groups, with_local, strict=True)):
        available = {*given, *ERROR_COLUMNS}
        for done in with_local[: index + 1]:
            available.update(column for step in done for column in step.provides)
        needed = {*wanted, *ERROR_COLUMNS}
        for later in with_local[index + 1 :]:
            needed.update(column for step in later for column in step.requires)
            needed.update(column for step in later for column in step.uses)
        columns = sorted(c for c in needed & available if not is_local(c))
        stages.append(
            Stage(
                name="+".join(step.name for step in main),
                steps=tuple(group),
                actor=any(step.loads_model for step in main),
                columns=tuple(columns),
            )
        )
    return stages


def _grouped(steps: Sequence[Step]) -> list[list[Step]]:
    """One group for each step with a model; steps without one share a group with neighbours."""
    groups: list[list[Step]] = []
    for step in steps:
        if any(is_local(column) for column in step.provides):
            continue
        if groups and not step.loads_model and not groups[-1][0].loads_model:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _joined(groups: list[list[Step]]) -> list[list[Step]]:
    """The groups, those that load an equal network and what lies between them as one."""
    joined: list[list[Step]] = []
    first = 0
    while first < len(groups):
        last, here = first, first
        while here <= last:
            networks = _networks(groups[here])
            same = [n for n in range(last + 1, len(groups)) if networks & _networks(groups[n])]
            last, here = max([last, *same]), here + 1
        joined.append([step for group in groups[first : last + 1] for step in group])
        first = last + 1
    return joined


def _networks(group: Sequence[Step]) -> set[tuple[object, ...]]:
    return {network_key(part) for step in group for part in step.networks}


def _with_local(group: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """The group and the providers of its local columns, and of what these need, in their order."""
    needed = {column for step in group for column in step.requires if is_local(column)}
    chosen = {id(step) for step in group}
    for step in reversed(steps):
        if needed & set(step.provides) and id(step) not in chosen:
            chosen.add(id(step))
            needed |= {column for column in step.requires if is_local(column)}
    return [step for step in steps if id(step) in chosen]
