"""The arithmetic of deadlock, and what a refused plan says about it."""

from __future__ import annotations

from collections.abc import Sequence

from ipseg.errors import PlanError
from pipeline.planning.cluster import Cluster
from pipeline.planning.placement import Claim, first_stuck, in_units, total_cpus, total_gpus


def check_fit(
    pools: Sequence[Claim],
    tasks: Sequence[Claim],
    cluster: Cluster,
    card_gb: float,
    actors: int = 0,
) -> None:
    """Refuses workers that could wait for each other for ever.

    Ray places actors first and keeps them; what feeds them are tasks, which need CPUs as well:

        sum(actors x CPUs) + reading + task stages and writing <= CPUs
        sum(actors x share of a card) <= GPUs
        and each worker finds room on one machine, wherever the others went.

    Args:
        pools: what the actors claim, in the order of the pipeline.
        tasks: what reading, task stages and writing claim.
        cluster: that has to hold it.
        card_gb: memory of a card, to be named.
        actors: the largest `runtime.actors` that would fit, where fewer than now would; else 0.

    Raises:
        PlanError: which stage, what it needs, what is there and what to change, with all claims in
            a table.
    """
    found = _fault(pools, tasks, cluster, card_gb)
    if found is None:
        return
    fault, remedy = found
    if actors:
        remedy = f"set runtime.actors={actors}, or {remedy}"
    table = "\n".join(_table(pools, tasks, cluster))
    raise PlanError(f"{fault}.\n{table}\nTo change: {remedy}.")


def _fault(
    pools: Sequence[Claim], tasks: Sequence[Claim], cluster: Cluster, card_gb: float
) -> tuple[str, str] | None:
    """What is wrong, and what to do about it."""
    alone = next((claim for claim in pools if not claim.holds(cluster.nodes)), None)
    if alone is not None:
        return (
            f"an actor of stage '{alone.name}' needs {_amounts(alone)} on one machine, and none "
            f"has that ({_machines(cluster)})",
            f"start machines with {_amounts(alone)} or more",
        )
    if total_cpus([*pools, *tasks]) > in_units(cluster.cpus):
        most = max(pools, key=lambda claim: claim.workers * claim.cpus)
        return (
            f"the stages need more CPUs than the {cluster.cpus:g} that are there (most of all "
            f"'{most.name}'), and the tasks that feed their actors would never start",
            "add CPUs",
        )
    if total_gpus(pools) > in_units(cluster.gpus):
        most = max(pools, key=lambda claim: claim.workers * claim.gpus)
        return (
            f"the stages need more GPUs than the {cluster.gpus:g} that are there (most of all "
            f"'{most.name}', {most.gpus:.4g} of a card of {card_gb:g} GB for each actor)",
            _SMALLER,
        )
    stuck = first_stuck(pools, tasks, cluster.nodes)
    if stuck is not None:
        return (
            f"'{stuck}' may find no room on any machine once the others are placed, though the "
            f"sum fits: Ray spreads actors over the machines ({_machines(cluster)})",
            _SMALLER if total_gpus(pools) else "add a machine, or use fewer and larger ones",
        )
    return None


_SMALLER = (
    "add GPUs, choose smaller models (segmenter.weights, features), or set runtime.gpu_card_gb if "
    "the cards are larger"
)


def _table(pools: Sequence[Claim], tasks: Sequence[Claim], cluster: Cluster) -> list[str]:
    claims = [*pools, *tasks]
    cpus, gpus = total_cpus(claims) / in_units(1), total_gpus(claims) / in_units(1)
    rows = [
        ("", "workers", "CPUs", "GPUs"),
        *(
            (c.name, str(c.workers), _times(c.workers, c.cpus), _times(c.workers, c.gpus))
            for c in claims
        ),
        ("needed", "", f"{cpus:.4g}", f"{gpus:.4g}"),
        ("there", "", f"{cluster.cpus:g}", f"{cluster.gpus:g}"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in rows
    ]


def _times(workers: int, amount: float) -> str:
    return f"{workers} x {amount:.4g}" if amount else "-"


def _amounts(claim: Claim) -> str:
    return f"{claim.cpus:g} CPU" + (f" and {claim.gpus:.4g} GPU" if claim.gpus else "")


def _machines(cluster: Cluster) -> str:
    listed = [f"{node.cpus:g} CPU + {node.gpus:g} GPU" for node in cluster.nodes[:6]]
    more = len(cluster.nodes) - len(listed)
    return "; ".join([*listed, *([f"and {more} more"] if more else [])])
