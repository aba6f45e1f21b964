"""What is to be evaluated: episodes, settings to run them with, and where."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ipseg.benchmarks.benchmark import Protocol
from ipseg.benchmarks.episode import Episode, to_table
from pipeline.engines.record import FailureBudget
from pipeline.evaluation.passes import Pass, Variant, passes
from pipeline.process import EngineName
from pipeline.runfolder.ledger import Retry


@dataclass(frozen=True)
class Evaluation:
    """Episodes to run, and how.

    Attributes:
        benchmark: its name.
        episodes: of all folds.
        protocol: how masks are compared.
        variants: settings to run them with, at least one, labels unique.
        out: run folder, path or fsspec URL.
        engine: 'ray', or 'local' for this process alone.
        overwrite: start over, instead of going on with what is there.
        retry: finished queries to do again, None for none. Without types it also covers supports
            and ground truth that could not be read.
        budget: failed queries after which the run is stopped.
    """

    benchmark: str
    episodes: Sequence[Episode] = field(repr=False)
    protocol: Protocol
    variants: Sequence[Variant]
    out: str
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    budget: FailureBudget = field(default_factory=lambda: FailureBudget(1.0))

    @property
    def retries_all(self) -> bool:
        """Whether whatever failed is to be done again, not queries alone."""
        return self.retry is not None and not self.retry.types

    @property
    def episodes_sha256(self) -> str:
        """64 hex digits over the list of episodes."""
        sink = io.BytesIO()
        table = to_table(self.episodes)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return hashlib.sha256(sink.getvalue()).hexdigest()

    @property
    def passes(self) -> list[tuple[str, Pass]]:
        """(run folder, pass) for each pass: OUT itself where one is enough."""
        found = passes(self.variants)
        if len(found) == 1:
            return [(self.out, found[0])]
        return [(f"{self.out}/pass-{number}", each) for number, each in enumerate(found)]
