"""A run of the rehearsal steps over keys, as the pipeline runs the real ones; and an S3 server."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from ipseg.config import Runtime
from ipseg.storage import retry
from jobs.bench.rehearsal import rehearsal_steps
from pipeline.process import Work, engine_for, process
from pipeline.runfolder.parts import part_files, read_rows
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

S3_SERVER = Path(__file__).parents[1] / "s3" / "server.py"


@dataclass
class Rehearsed:
    """Settings of a run; `go` runs it once, as often as wanted."""

    out: str
    keys: list[str]
    steps: list = field(default_factory=rehearsal_steps)
    engine: str = "local"
    runtime: Runtime = field(default_factory=lambda: Runtime(part_rows=4, batch_size=2))
    budget: FailureBudget = field(default_factory=FailureBudget)
    retry: object = None
    shards: int = 2

    def go(self):
        with Spool(("key", "uri")) as spool:
            spool.add({"key": key, "uri": ""} for key in self.keys)
            shards = spool.write(self.out, self.shards)
        source = Source("keys", "images", shards, len(self.keys), {})
        by = Provenance(uuid4().hex, "rehearsal", "0" * 64, ())
        work = Work(
            source,
            self.steps,
            ("key", "shard", "uri"),
            ("key", "shard", "uri", "width", "height", "objects"),
            ShardWriter(self.out, by),
            self.retry,
        )
        with engine_for(self.engine, self.runtime, self.budget) as engine:
            return process(engine, work, self.budget)


def _contents(out):
    """Rows by key without their run, and how many rows the parts hold."""
    rows = {row["key"]: row for row in read_rows(out)}
    for row in rows.values():
        del row["run_id"]
    return rows, sum(pq.read_metadata(part).num_rows for part in part_files(out))


@pytest.fixture(scope="session")
def rehearsed():
    """The class of rehearsed runs."""
    return Rehearsed


@pytest.fixture(scope="session")
def contents():
    """Function: run folder -> (rows by key without their run, rows that the parts hold)."""
    return _contents


@pytest.fixture(scope="module")
def program():
    """tests/s3/server.py as a module."""
    spec = importlib.util.spec_from_file_location("s3_server_for_tests", S3_SERVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def serving(program):
    from s3fs import S3FileSystem

    with program.s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        yield server
        S3FileSystem.clear_instance_cache()


@pytest.fixture
def server(serving, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.002)
    yield serving
    serving.inject(type(serving.faults)())


@pytest.fixture
def bucket(server):
    return server.make_bucket(f"bucket-{uuid4().hex}")
