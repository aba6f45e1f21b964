"""The run's record in a Ray actor, which also reports it to Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import ray
from ray.util.metrics import Counter, Gauge
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ipseg.costs import Cost, Key
from pipeline.engines.memory import Memory, memory
from pipeline.stages.record import FailureBudget, RunRecord


class RayRecord:
    """A `RunRecord` that can be handed to workers; each call waits until it is counted.

    The actor lives on the driver's machine, which no run outlives anyway.
    """

    def __init__(self, budget: FailureBudget) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(_MeteredRecord)
        self._actor: Any = actor.options(num_cpus=0, scheduling_strategy=here).remote(budget)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The method of the actor's record."""
        if name.startswith("_"):  # pickle looks for hooks before there is an actor
            raise AttributeError(name)
        method = getattr(self._actor, name)
        return lambda *args, **kwargs: ray.get(method.remote(*args, **kwargs))


class _MeteredRecord(RunRecord):
    """A `RunRecord` whose sums can be scraped from Ray's metrics endpoint."""

    def __init__(self, budget: FailureBudget) -> None:
        super().__init__(budget)
        self._written = Counter("ipseg_rows_written", "Rows written", ("status",))
        self._handed_on = Counter("ipseg_stage_rows", "Rows a stage handed on", ("stage",))
        self._failed = Counter("ipseg_stage_failed_rows", "Of these, failed", ("stage",))
        self._busy = Counter("ipseg_stage_seconds", "Seconds its workers spent", ("stage",))
        self._bytes = Counter("ipseg_stage_bytes", "Bytes a stage handed on", ("stage",))
        self._at_work = Gauge("ipseg_rows_at_work", "Rows begun and not ended", ())

    def memory(self) -> Memory:
        """What the actor's process holds."""
        return memory()

    def part_written(
        self, shard: str, part: str, counts: Mapping[str, int]
    ) -> tuple[int, str] | None:
        for status, rows in counts.items():
            self._written.inc(rows, {"status": status})
        return super().part_written(shard, part, counts)

    def end(
        self,
        stage: str,
        keys: Sequence[str],
        failed: int,
        seconds: float,
        sizes: tuple[int, int],
        costs: Mapping[Key, Cost] = MappingProxyType({}),
    ) -> str | None:
        amounts = (
            (self._handed_on, len(keys)),
            (self._failed, failed),
            (self._busy, seconds),
            (self._bytes, sum(sizes)),
        )
        for counter, amount in amounts:
            if amount > 0:  # Ray refuses to add nothing
                counter.inc(amount, {"stage": stage})
        self._at_work.set(len(self._begun))
        return super().end(stage, keys, failed, seconds, sizes, costs)
