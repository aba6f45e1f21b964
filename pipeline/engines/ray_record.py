"""The run's record in a Ray actor, which also reports it to Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.metrics import Counter, Gauge
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engines.memory import Memory, memory
from pipeline.stages.record import FailureBudget, RunRecord


class RayRecord:
    """A `Recorder` that can be handed to workers; each call waits until it is counted.

    The actor lives on the driver's machine, which no run outlives anyway.
    """

    def __init__(self, budget: FailureBudget) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(_MeteredRecord)
        self._actor: Any = actor.options(num_cpus=0, scheduling_strategy=here).remote(budget)

    def shard_read(
        self, shard: str, rows: int, done: Mapping[str, int], fingerprint: str
    ) -> tuple[int, str] | None:
        """As `Recorder.shard_read`."""
        ready: tuple[int, str] | None = ray.get(
            self._actor.shard_read.remote(shard, rows, done, fingerprint)
        )
        return ready

    def part_written(
        self, shard: str, part: str, counts: Mapping[str, int]
    ) -> tuple[int, str] | None:
        """As `Recorder.part_written`."""
        ready: tuple[int, str] | None = ray.get(
            self._actor.part_written.remote(shard, part, counts)
        )
        return ready

    def shard_finished(self, shard: str) -> None:
        """As `Recorder.shard_finished`."""
        ray.get(self._actor.shard_finished.remote(shard))

    def begin(self, stage: str, keys: Sequence[str]) -> list[int]:
        """As `Recorder.begin`."""
        crashes: list[int] = ray.get(self._actor.begin.remote(stage, keys))
        return crashes

    def begin_one(self, stage: str, key: str) -> None:
        """As `Recorder.begin_one`."""
        ray.get(self._actor.begin_one.remote(stage, key))

    def end_one(self, stage: str, key: str) -> None:
        """As `Recorder.end_one`."""
        ray.get(self._actor.end_one.remote(stage, key))

    def end(
        self, stage: str, keys: Sequence[str], failed: int, seconds: float, sizes: tuple[int, int]
    ) -> str | None:
        """As `Recorder.end`."""
        stop: str | None = ray.get(self._actor.end.remote(stage, keys, failed, seconds, sizes))
        return stop

    def rows(self, stage: str) -> int:
        """As `Recorder.rows`."""
        rows: int = ray.get(self._actor.rows.remote(stage))
        return rows

    def summary(self) -> list[dict[str, Any]]:
        """As `Recorder.summary`."""
        summary: list[dict[str, Any]] = ray.get(self._actor.summary.remote())
        return summary

    def progress(self) -> dict[str, Any]:
        """As `Recorder.progress`."""
        progress: dict[str, Any] = ray.get(self._actor.progress.remote())
        return progress

    def unfinished(self) -> list[tuple[str, int, str]]:
        """As `Recorder.unfinished`."""
        shards: list[tuple[str, int, str]] = ray.get(self._actor.unfinished.remote())
        return shards

    def at_work(self) -> list[str]:
        """As `Recorder.at_work`."""
        work: list[str] = ray.get(self._actor.at_work.remote())
        return work

    def memory(self) -> Memory:
        """What the actor's process holds."""
        held: Memory = ray.get(self._actor.memory.remote())
        return held


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
        """As `RayRecord.memory`."""
        return memory()

    def part_written(
        self, shard: str, part: str, counts: Mapping[str, int]
    ) -> tuple[int, str] | None:
        for status, rows in counts.items():
            self._written.inc(rows, {"status": status})
        return super().part_written(shard, part, counts)

    def end(
        self, stage: str, keys: Sequence[str], failed: int, seconds: float, sizes: tuple[int, int]
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
        return super().end(stage, keys, failed, seconds, sizes)
