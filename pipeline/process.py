"""A collection through a list of steps into a run folder, exactly once, whoever asks for it."""

from __future__ import annotations

import io
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Runtime
from ipseg.costs import Cost, Key
from ipseg.errors import ConfigError, FailureBudgetError, OutputError
from ipseg.rows import Step, check_chain
from ipseg.storage.files import read_bytes
from ipseg.storage.tables import write_table
from ipseg.storage.walk import list_files
from pipeline.engines.choice import EngineName, chosen_engine
from pipeline.engines.local_engine import LocalEngine
from pipeline.engines.shard_io import ShardIO
from pipeline.runfolder.finished import Retry
from pipeline.runfolder.folder import SHARDS
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.parts import PARTS, Place
from pipeline.runfolder.sink import ShardWriter
from pipeline.runfolder.status import GONE, STATUSES
from pipeline.sources.shard import Shard
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

if TYPE_CHECKING:
    from pipeline.engines.ray_engine import RayEngine

log = logging.getLogger("ipseg")

Engine: TypeAlias = "LocalEngine | RayEngine"
SHARDS_SCHEMA = pa.schema(
    [
        ("shard", pa.string()),
        ("kind", pa.string()),
        ("rows", pa.int64()),  # null: unknown until the shard is read
        ("fingerprint", pa.string()),
        ("address", pa.string()),
    ]
)
_SUCCESSES_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a run is started, whatever it does.

    Attributes:
        engine: 'ray', 'local' for this process alone, 'auto' for the one that suits the work.
        overwrite: replace a run that is there already, instead of going on with it.
        retry: finished rows to do again, None for none.
        budget: failed rows after which the run is stopped.
        calibrated: size the pools by what stages cost on the first rows.
        check_content: compare the bytes of every image with those that its row was made from; by
            default only where size, time or ETag have changed.
    """

    engine: EngineName = "auto"
    overwrite: bool = False
    retry: Retry | None = None
    budget: FailureBudget = field(default_factory=FailureBudget)
    calibrated: bool = False
    check_content: bool = False

    @property
    def start(self) -> dict[str, Any]:
        """These fields, to start another run in the same way."""
        return {each.name: getattr(self, each.name) for each in fields(Start)}


@dataclass(frozen=True)
class Work:
    """What to do with which rows.

    Attributes:
        source: the collection.
        steps: what each row goes through.
        given: columns that the source's rows carry.
        wanted: columns that must be there at the end.
        writer: of finished rows, with the place they go to.
        part_rows: rows in one output file.
        retry: finished rows to do again, None for none.
        earlier: ids of the earlier starts, oldest first.
        missing: id of an earlier start -> concepts that it did not look for.
        check_content: compare the bytes of every image with those that its row was made from.
    """

    source: Source
    steps: Sequence[Step]
    given: Sequence[str]
    wanted: Sequence[str]
    writer: ShardWriter
    part_rows: int
    retry: Retry | None = None
    earlier: tuple[str, ...] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    check_content: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        counts: rows of the source by status, earlier runs' included; every status is there, but
            "gone" only where there are some.
        before: of these, finished by earlier runs.
        seconds: this run took.
        stages: for each stage rows, failed rows, seconds, bytes per row.
        costs: of each step, in this run.
    """

    counts: dict[str, int]
    before: int
    seconds: float
    stages: list[dict[str, Any]]
    costs: dict[Key, Cost] = field(default_factory=dict)

    @property
    def done_now(self) -> int:
        """Rows that this run finished."""
        return sum(self.counts.values()) - self.counts.get(GONE, 0) - self.before

    @property
    def rows_per_second(self) -> float:
        """Of this run."""
        return self.done_now / self.seconds


def engine_for(
    name: EngineName,
    runtime: Runtime,
    steps: Sequence[Step] = (),
    rows: int | None = None,
    *,
    calibrated: bool = False,
) -> Engine:
    """The engine of a name: a context, open while it is used.

    Args:
        name: as `Start.engine`.
        runtime: sizes of batches and pools.
        steps: what it is for.
        rows: to go through them; None if nobody has counted them.
        calibrated: size the pools by what stages cost on the first rows.

    Raises:
        ConfigError: there are no pools to size.
    """
    pools_by = "--calibrate" if calibrated else runtime.pools_by
    if chosen_engine(name, rows, steps, pools_by=pools_by) == "local":
        if calibrated:
            raise ConfigError("--calibrate sizes pools of workers; engine 'local' has none")
        if pools_by is not None:
            log.warning("%s has no effect: engine 'local' has no pools of workers", pools_by)
        return LocalEngine(runtime)
    from pipeline.engines.ray_engine import RayEngine  # importing Ray takes a second

    return RayEngine(runtime, calibrated=calibrated)


def unfinished_shards(source: Source, ledger: Ledger) -> tuple[list[Shard], Counter[str]]:
    """Shards with something left to do, and the rows of all the others by status."""
    with ThreadPoolExecutor(_SUCCESSES_AT_ONCE) as pool:
        finished = list(pool.map(ledger.finished, source.shards))
    left = [s for s, counts in zip(source.shards, finished, strict=True) if counts is None]
    return left, sum((counts for counts in finished if counts is not None), Counter())


def process(engine: Engine, work: Work, budget: FailureBudget) -> Outcome:
    """Brings every row of a source into the run folder, but for those that are there already.

    Raises:
        FailureBudgetError: too many rows failed.
        OutputError: not every row of the source is in the output.
    """
    started = time.perf_counter()
    writer = work.writer
    by = writer.provenance
    ledger = Ledger(
        out=writer.out,
        run_id=by.run_id,
        config_sha256=by.config_sha256,
        runs=work.earlier,
        missing=work.missing,
        retry=work.retry,
        check_content=work.check_content,
        group_rows=writer.group_rows,
    )
    given = (*work.given, *ERROR_COLUMNS)
    check_chain(work.steps, given)
    left, counts = unfinished_shards(work.source, ledger)
    read, stages = counts.total(), list[dict[str, Any]]()
    before = read - counts[GONE]
    failed_now, costs = 0, dict[Key, Cost]()
    if left:
        record = engine.record(budget)
        shard_io = ShardIO(ledger, writer, record, work.part_rows)
        known = [shard.rows for shard in left]
        rows = None if None in known else sum(n for n in known if n is not None)
        source = replace(work.source, shards=tuple(left), rows=rows)
        engine.stream(work.steps, source, given, work.wanted, shard_io)
        shard_io.finish()
        progress = record.progress()
        counts = counts + Counter(progress["counts"])
        read += progress["read"]
        before += progress["before"]
        stages, costs = record.summary(), record.costs()
        failed_now = max((stage["failed"] for stage in stages), default=0)
    else:
        noun = "prompt" if work.source.kind == "prompts" else "row"
        log.info("no %s is left to do: %d finished before", noun, before)
    if counts.total() != read:
        raise OutputError(
            f"{read} rows were read but {counts.total()} are in {writer.out}; start the same "
            f"command again"
        )
    counts = counts + _mark_gone(work.source, ledger)
    outcome = Outcome(
        {status: counts[status] for status in STATUSES if status != GONE or counts[GONE]},
        before,
        time.perf_counter() - started,
        stages,
        costs,
    )
    if budget.spent(failed_now, outcome.done_now, ended=True):
        raise FailureBudgetError(
            f"{failed_now} of {outcome.done_now} rows failed, more than the {budget.rate:.1%} that "
            f"may; all of them are written: see `ipseg errors {writer.out}`"
        )
    return outcome


def _mark_gone(source: Source, ledger: Ledger) -> Counter[str]:
    """Rows of shards that an earlier run had and the source has no longer."""
    known = {shard.id for shard in source.shards}
    parts = list_files(ledger.out, PARTS) if ledger.runs else []
    lost = {Place("", part, 0).shard for part in parts} - known
    return sum((ledger.mark_shard_gone(shard) for shard in sorted(lost)), Counter())


def write_shards(out: str, shards: Sequence[Shard]) -> None:
    """Writes OUT/shards.parquet: the pieces of the source, for those who follow the run."""
    records = [{"shard": shard.id, **vars(shard)} for shard in shards]
    write_table(f"{out}/{SHARDS}", pa.Table.from_pylist(records, SHARDS_SCHEMA))


def earlier_shard_count(out: str) -> int | None:
    """Number of ranges that an earlier run has cut its images into; None if there was none."""
    try:
        table = pq.read_table(io.BytesIO(read_bytes(f"{out}/{SHARDS}")))
    except FileNotFoundError:
        return None
    listed = [r["shard"] for r in table.to_pylist() if r["kind"] == "listed"]
    return int(listed[0].rpartition("-of-")[2]) if listed else None
