"""The machines that are there: CPUs and GPUs of each, and how much memory its cards have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One machine.

    Attributes:
        id: as Ray names it; "" where only sums are known.
        cpus: that Ray may give away; 0 for a head that does no work.
        gpus: cards.
        card_gb: memory of its smallest card in GB; None if it could not be asked.
    """

    id: str
    cpus: float
    gpus: float
    card_gb: float | None = None


@dataclass(frozen=True)
class Cluster:
    """All machines of a run."""

    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> float:
        """Of all machines together."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all machines together."""
        return sum(node.gpus for node in self.nodes)

    @property
    def card_gb(self) -> float | None:
        """Memory of the smallest card: Ray may put any actor on any of them. None: unknown."""
        known = [node.card_gb for node in self.nodes if node.card_gb is not None]
        return min(known, default=None)

    @staticmethod
    def of(resources: Mapping[str, float]) -> Cluster:
        """One machine with these resources, as Ray names them ("CPU", "GPU")."""
        return Cluster((Node("", resources.get("CPU", 0.0), resources.get("GPU", 0.0)),))


def see_cluster(card_gb: float | None = None) -> Cluster:
    """The machines of the Ray session that this process has joined.

    Args:
        card_gb: memory of a card where somebody has set it; None asks each machine that has GPUs,
            which takes about a second.
    """
    import ray

    from pipeline.planning.cards import card_memory_gb

    alive = [node for node in ray.nodes() if node["Alive"]]
    cards = card_memory_gb() if card_gb is None else {}
    return Cluster(
        tuple(
            Node(
                node["NodeID"],
                node["Resources"].get("CPU", 0.0),
                node["Resources"].get("GPU", 0.0),
                cards.get(node["NodeID"], card_gb if node["Resources"].get("GPU", 0) else None),
            )
            for node in alive
        )
    )
