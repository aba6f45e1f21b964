"""Several chains of steps side by side, for sweeps and comparisons of methods.

Leading steps that are equal run once. From the first difference on, each chain has its own columns
(`similarity@2`), and steps at the same distance from the end run one after the other in the same
worker, on the same rows: networks that they share are loaded once and remember the batch.
A row that breaks one chain goes on in the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ipseg.columns import is_local
from ipseg.networks.shared import network_key
from ipseg.rows import Resources, Row, Step
from ipseg.runner import run_step

_ERRORS = ("error_stage", "error_type", "error_message")


@dataclass(frozen=True)
class Branch:
    """A step of one chain, or of several that are equal up to it.

    Attributes:
        step: that runs.
        number: suffix of the columns that it provides; "" for none.
        inputs: column as the step knows it -> column of the row, where these differ.
        path: numbers of the branches before it, its own last.
    """

    step: Step
    number: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()

    def column(self, name: str) -> str:
        """The row's name of a column that it provides."""
        return f"{name}@{self.number}" if self.number else name

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
        done = iter(run_step(self.step, views))
        return [None if gone else next(done) for gone in lost]

    def _merged(self, row: Row, done: Row | None) -> Row:
        if done is None:
            return row
        if done.get("error_stage") is not None:
            error = {"chain": self.number, **{name: done[name] for name in _ERRORS}}
            return {**row, "chain_errors": [*row.get("chain_errors", ()), error]}
        provided = {self.column(name): done[name] for name in self.step.provides if name in done}
        return {**row, **provided}


@dataclass
class SideBySide(Step):
    """Branches one after the other in the same worker, on the same rows."""

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        steps = [branch.step for branch in self.branches]
        columns = [
            branch.inputs.get(name, name)
            for branch in self.branches
            for name in branch.step.requires
        ]
        used = [branch.inputs.get(n, n) for branch in self.branches for n in branch.step.uses]
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

    def setup(self) -> None:
        """Sets every branch up."""
        for branch in self.branches:
            branch.step.setup()

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
    """

    leaves: dict[str, Branch]
    column: str

    name = "collect"

    def __post_init__(self) -> None:
        columns = dict.fromkeys(leaf.column(self.column) for leaf in self.leaves.values())
        self.requires = tuple(columns)  # type: ignore[misc]
        self.provides = (self.column, "chain_errors")  # type: ignore[misc]
        self.uses = ("chain_errors",)  # type: ignore[misc]

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the column; `chain_errors` name the labels of chains from here on."""
        return [self._collect(row) for row in rows]

    def _collect(self, row: Row) -> Row:
        found, errors = [], []
        for label, leaf in self.leaves.items():
            lost = next((e for e in row.get("chain_errors", ()) if e["chain"] in leaf.path), None)
            if lost is None:
                found += [_labelled(item, label) for item in row[leaf.column(self.column)]]
            else:
                errors.append({**lost, "chain": label})
        if len(errors) == len(self.leaves):
            return {**row, **{name: errors[0][name] for name in _ERRORS}}
        return {**row, self.column: found, "chain_errors": errors}


def _labelled(item: Any, label: str) -> Any:  # noqa: ANN401  (an object or a prompt)
    return {**item, "chain": label} if isinstance(item, dict) else replace(item, variant=label)


@dataclass
class _Node:
    """A step, and the chains that come to it by the same steps before."""

    step: Step
    parent: _Node | None
    depth: int
    labels: list[str] = field(default_factory=list)
    height: int = 0  # steps that follow it, at most


def side_by_side(chains: Mapping[str, Sequence[Step]], column: str, heads: int = 0) -> list[Step]:
    """One chain that does what several do, nothing twice.

    Args:
        chains: label -> steps, at least one; all provide `column` in the end. A single chain comes
            back as it is.
        column: that holds each chain's results, a list.
        heads: so many steps at the beginning of each chain keep their place from the beginning;
            others are placed by their distance from the end, where methods have the most in common.
    """
    if len(chains) == 1:
        return list(next(iter(chains.values())))
    nodes, leaves = _tree(chains)
    together = [node for node in nodes if len(node.labels) == len(chains)]
    apart = [node for node in nodes if len(node.labels) < len(chains)]
    branches: dict[int, Branch] = {}
    for number, node in enumerate(apart, start=1):
        branches[id(node)] = _branch(node, str(number), branches)
    levels: dict[tuple[bool, int], list[Branch]] = {}
    for node in apart:
        at_head = node.depth < heads
        level = (not at_head, node.depth if at_head else -node.height)
        levels.setdefault(level, []).append(branches[id(node)])
    steps = [node.step for node in together]
    for level in sorted(levels):
        # A step with local columns runs again wherever these are needed, so it stays alone.
        local = [b for b in levels[level] if any(is_local(c) for c in b.step.provides)]
        steps += [SideBySide((branch,)) for branch in local]
        if others := tuple(branch for branch in levels[level] if branch not in local):
            steps.append(SideBySide(others))
    ends = {label: _leaf(node, branches) for label, node in leaves.items()}
    return [*steps, Collect(ends, column)]


def _tree(chains: Mapping[str, Sequence[Step]]) -> tuple[list[_Node], dict[str, _Node]]:
    """Nodes, parents first, and the last node of each chain."""
    nodes: list[_Node] = []
    leaves: dict[str, _Node] = {}
    for label, steps in chains.items():
        node: _Node | None = None
        for depth, step in enumerate(steps):
            known = (n for n in nodes if n.parent is node and n.step == step)
            found = next(known, None)
            if found is None:
                found = _Node(step, node, depth)
                nodes.append(found)
            found.labels.append(label)
            found.height = max(found.height, len(steps) - 1 - depth)
            node = found
        if node is None:
            raise ValueError(f"chain '{label}' has no step")
        leaves[label] = node
    return sorted(nodes, key=lambda n: n.depth), leaves


def _branch(node: _Node, number: str, branches: Mapping[int, Branch]) -> Branch:
    path, inputs = [number], dict[str, str]()
    wanted = {*node.step.requires, *node.step.uses}
    above = node.parent
    while above is not None:
        branch = branches.get(id(above))
        if branch is not None:
            path.append(branch.number)
            for name in wanted & set(branch.step.provides):
                inputs.setdefault(name, branch.column(name))  # the nearest one counts
        above = above.parent
    return Branch(node.step, number, inputs, tuple(path))


def _leaf(node: _Node, branches: Mapping[int, Branch]) -> Branch:
    """The branch that ends a chain; without a number where all chains share it."""
    return branches.get(id(node)) or Branch(node.step, "")
