"""Several chains of steps side by side, for sweeps and comparisons of methods.

Leading steps that are equal run once. From the first difference on, each chain has its own columns
(`similarity@2`), and steps at the same distance from the end run one after the other in the same
worker, on the same rows: networks that they share are loaded once and remember the batch.
A row that breaks one chain goes on in the others, and so do all rows where a step of one chain
cannot be set up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ipseg.columns import ERROR_COLUMNS, is_local
from ipseg.errors import IpsegError
from ipseg.networks.shared import network_key
from ipseg.rows import Resources, Row, Step, failed
from ipseg.runner import run_step

log = logging.getLogger("ipseg")


@dataclass
class Branch:
    """A step of one chain, or of several that are equal up to it.

    Attributes:
        step: that runs.
        number: suffix of the columns that it provides; "" where all chains share it.
        parent: the step before it.
        depth: steps before it.
        labels: of the chains.
        height: steps that follow it, at most.
        refusal: why it could not be set up; None if it could.
    """

    step: Step
    number: str = ""
    parent: Branch | None = None
    depth: int = 0
    labels: list[str] = field(default_factory=list)
    height: int = 0
    refusal: IpsegError | None = None

    def column(self, name: str) -> str:
        """The row's name of a column that it provides."""
        return f"{name}@{self.number}" if self.number else name

    @cached_property
    def path(self) -> tuple[str, ...]:
        """Numbers of the branches up to it, its own first."""
        if not self.number:
            return ()
        return (self.number, *(self.parent.path if self.parent else ()))

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Column as the step knows it -> column of the row, where these differ."""
        found: dict[str, str] = {}
        above = self.parent
        while above is not None and above.number:
            for name in {*self.step.requires, *self.step.uses} & {*above.step.provides}:
                found.setdefault(name, above.column(name))  # the nearest one counts
            above = above.parent
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without the steps before it: their modules are of no use in its worker."""
        return {**vars(self), "path": self.path, "inputs": self.inputs, "parent": None}

    def setup(self) -> None:
        """Sets the step up, or keeps why that is refused: its rows fail, those of others do not."""
        try:
            self.step.setup()
        except IpsegError as error:
            log.warning("%s cannot run: %s", ", ".join(self.labels), error)
            self.refusal = error

    def run(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with the step's columns under its own names; failures are noted, not final."""
        return [self._merged(row, done) for row, done in zip(rows, self._views(rows), strict=True)]

    def _views(self, rows: Sequence[Row]) -> list[Row | None]:
        """What the step makes of each row; None where an earlier step of the chain failed."""
        lost = [any(e["chain"] in self.path for e in row.get("chain_errors", ())) for row in rows]
        views = [
            {**row, **{name: row[at] for name, at in self.inputs.items() if at in row}}
            for row, gone in zip(rows, lost, strict=True)
            if not gone
        ]
        if self.refusal is not None:
            done = iter([failed(view, self.step.name, self.refusal) for view in views])
        else:
            done = iter(run_step(self.step, views, tuple(self.labels)))
        return [None if gone else next(done) for gone in lost]

    def _merged(self, row: Row, done: Row | None) -> Row:
        if done is None:
            return row
        if done.get("error_stage") is not None:
            error = {"chain": self.number, **{name: done[name] for name in ERROR_COLUMNS}}
            return {**row, "chain_errors": [*row.get("chain_errors", ()), error]}
        provided = {self.column(name): done[name] for name in self.step.provides if name in done}
        return {**row, **provided}


@dataclass
class SideBySide(Step):
    """Branches one after the other in the same worker, on the same rows."""

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        steps = [branch.step for branch in self.branches]
        columns = [b.inputs.get(name, name) for b in self.branches for name in b.step.requires]
        used = [b.inputs.get(name, name) for b in self.branches for name in b.step.uses]
        provided = [b.column(name) for b in self.branches for name in b.step.provides]
        # What a class says of a step, this one says of itself.
        self.name = "+".join(dict.fromkeys(step.name for step in steps))  # type: ignore[misc]
        self.requires = tuple(dict.fromkeys(columns))  # type: ignore[misc]
        self.uses = (*dict.fromkeys(used), "chain_errors")  # type: ignore[misc]
        self.provides = (*provided, "chain_errors")  # type: ignore[misc]
        self.loads_model = any(step.loads_model for step in steps)  # type: ignore[misc]

    @property
    def networks(self) -> list[Any]:
        """Those of all branches, equal ones once."""
        found = [part for branch in self.branches for part in branch.step.networks]
        return list({network_key(part): part for part in found}.values())

    @property
    def resources(self) -> Resources:
        """The branches take turns on the CPU; their networks are loaded together."""
        needs = [branch.step.resources for branch in self.branches]
        own = [  # what a step needs beside the networks that others may share
            need.gpu_memory_gb - sum(part.gpu_memory_gb for part in branch.step.networks)
            for branch, need in zip(self.branches, needs, strict=True)
        ]
        together = sum(part.gpu_memory_gb for part in self.networks) + max(0.0, *own, 0.0)
        return Resources(max(need.cpus for need in needs), together)

    @property
    def thread_safe(self) -> bool:
        """Whether all branches are."""
        return all(branch.step.thread_safe for branch in self.branches)

    def setup(self) -> None:
        """Sets every branch up."""
        for branch in self.branches:
            branch.setup()

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the columns of every branch."""
        for branch in self.branches:
            rows = branch.run(rows)
        return rows


@dataclass
class Collect(Step):
    """Brings what the chains have found together in one column.

    A row fails where all of its chains have failed.

    Attributes:
        leaves: label of a chain -> the branch that ends it.
        column: that each chain provides, a list; its items get the label of their chain.
        also: the same of columns that only some of the chains provide.
    """

    leaves: dict[str, Branch]
    column: str
    also: tuple[str, ...] = ()

    name = "collect"

    def __post_init__(self) -> None:
        columns = dict.fromkeys(
            leaf.column(name)
            for leaf in self.leaves.values()
            for name in (self.column, *_provided(leaf, self.also))
        )
        self.requires = tuple(columns)  # type: ignore[misc]
        self.also = tuple(
            name for name in self.also if any(_provided(b, (name,)) for b in self.leaves.values())
        )
        self.provides = (self.column, *self.also, "chain_errors")  # type: ignore[misc]
        self.uses = ("chain_errors",)  # type: ignore[misc]

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the column; `chain_errors` name the labels of chains from here on."""
        return [self._collect(row) for row in rows]

    def _collect(self, row: Row) -> Row:
        found: dict[str, list[Any]] = {name: [] for name in (self.column, *self.also)}
        errors = []
        for label, leaf in self.leaves.items():
            lost = next((e for e in row.get("chain_errors", ()) if e["chain"] in leaf.path), None)
            if lost is None:
                for name in _provided(leaf, tuple(found)):
                    found[name] += [_labelled(item, label) for item in row[leaf.column(name)]]
            else:
                errors.append({**lost, "chain": label})
        if len(errors) == len(self.leaves):
            return {**row, **{name: errors[0][name] for name in ERROR_COLUMNS}}
        return {**row, **found, "chain_errors": errors}


def _provided(leaf: Branch, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in leaf.step.provides]


def _labelled(item: Any, label: str) -> Any:  # noqa: ANN401  (an object or a prompt)
    return {**item, "chain": label} if isinstance(item, dict) else replace(item, variant=label)


def side_by_side(
    chains: Mapping[str, Sequence[Step]],
    column: str,
    heads: int = 0,
    also: tuple[str, ...] = (),
) -> list[Step]:
    """One chain that does what several do, nothing twice.

    Args:
        chains: label -> steps, at least one; all provide `column` in the end. A single chain comes
            back as it is.
        column: that holds each chain's results, a list.
        heads: so many steps at the beginning of each chain keep their place from the beginning;
            others are placed by their distance from the end, where methods have the most in common.
        also: columns, lists as well, that the last steps of some chains provide.
    """
    if len(chains) == 1:
        return list(next(iter(chains.values())))
    nodes, leaves = _tree(chains)
    shared = [node for node in nodes if len(node.labels) == len(chains)]
    apart = [node for node in nodes if len(node.labels) < len(chains)]
    levels: dict[tuple[bool, int], list[Branch]] = {}
    for number, node in enumerate(apart, start=1):
        node.number = str(number)
        at_head = node.depth < heads
        level = (not at_head, node.depth if at_head else -node.height)
        levels.setdefault(level, []).append(node)
    steps = [node.step for node in shared]
    for level in sorted(levels):
        # A step with local columns runs again wherever these are needed, so it stays alone.
        local = [b for b in levels[level] if any(is_local(c) for c in b.step.provides)]
        steps += [SideBySide((branch,)) for branch in local]
        if others := tuple(branch for branch in levels[level] if branch not in local):
            steps.append(SideBySide(others))
    return [*steps, Collect(leaves, column, also)]


def _tree(chains: Mapping[str, Sequence[Step]]) -> tuple[list[Branch], dict[str, Branch]]:
    """Branches, parents first, and the last one of each chain."""
    nodes: list[Branch] = []
    leaves: dict[str, Branch] = {}
    for label, steps in chains.items():
        node: Branch | None = None
        for depth, step in enumerate(steps):
            known = (n for n in nodes if n.parent is node and n.step == step)
            found = next(known, None)
            if found is None:
                found = Branch(step, parent=node, depth=depth)
                nodes.append(found)
            found.labels.append(label)
            found.height = max(found.height, len(steps) - 1 - depth)
            node = found
        if node is None:
            raise ValueError(f"chain '{label}' has no step")
        leaves[label] = node
    return sorted(nodes, key=lambda n: n.depth), leaves
