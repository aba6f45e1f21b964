"""Run folders as runs leave them, to be looked at."""

import json
import os
import time
from datetime import UTC, datetime, timedelta

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.objects import Object
from ipseg.rows import failed
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import Provenance, ShardWriter

ITEM = Object.of("cup", 1, np.ones((3, 4), bool), 0.5)


class Folder:
    """A run folder as a run leaves it, written with the run's own parts."""

    def __init__(self, out):
        self.out = str(out)
        self.fs, self.root = fsspec.core.url_to_fs(self.out)
        self.fs.makedirs(self.root, exist_ok=True)
        self.runs, self.shards = [], {}

    def start(self, run_id="run-1", ago=100.0, finished_ago=None):
        def iso(seconds):
            return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()

        finished = None if finished_ago is None else iso(finished_ago)
        self.runs.append({"run_id": run_id, "started": iso(ago), "finished": finished})
        self.put("manifest.json", json.dumps({"schema_version": "4", "runs": self.runs}))
        return self

    def source(self, shard, rows, fingerprint="f1"):
        self.shards[shard] = (rows, fingerprint)
        names = sorted(self.shards)
        table = pa.table(
            {
                "shard": names,
                "kind": ["listed"] * len(names),
                "rows": pa.array([self.shards[name][0] for name in names], pa.int64()),
                "fingerprint": [self.shards[name][1] for name in names],
                "address": names,
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.put("shards.parquet", sink.getvalue().to_pybytes())
        return self

    def rows(self, shard, keys, *, status="ok", error=None, run_id="run-1"):
        made = []
        for key in keys:
            row = {"key": key, "shard": shard, "uri": key, "width": 4, "height": 3}
            row["objects"] = [ITEM] if status == "ok" else []
            made.append(row if error is None else failed(row, "decode", error))
        by = Provenance(run_id, "ipseg/classical", "0" * 64, ())
        (part,) = ShardWriter(self.out, by).write(made)
        return f"data/shard={shard}/{part.name}"

    def complete(self, shard, rows, fingerprint="f1", run_id="run-1"):
        Ledger(self.out, run_id, "0" * 64).finish_shard(shard, rows, fingerprint)
        return self

    def put(self, name, data):
        self.fs.makedirs(f"{self.root}/{name}".rpartition("/")[0], exist_ok=True)
        self.fs.pipe_file(f"{self.root}/{name}", data.encode() if isinstance(data, str) else data)

    def lease(self, refreshed, released=False):
        holder = {"run_id": "run-1", "host": "here", "pid": 1}
        content = {**holder, "refreshed": refreshed, "released": released}
        self.put(f".lease/{1 + released:08d}.json", json.dumps(content))

    def age(self, name, seconds):
        when = time.time() - seconds
        os.utime(f"{self.root}/{name}", (when, when))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "run")


@pytest.fixture(scope="session")
def folder_at():
    """Function: address -> a run folder there."""
    return Folder
