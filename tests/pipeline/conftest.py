"""Runs over keys and over painted images, as the pipeline runs real ones; and an S3 server."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ipseg.config import Config, Runtime, load_config
from ipseg.storage import retry
from jobs.bench.synthetic import synthetic_steps
from pipeline.process import Work, engine_for, process
from pipeline.runfolder.parts import part_files, read_rows
from pipeline.runfolder.sink import OBJECTS, Provenance, ShardWriter
from pipeline.segment import Request, segment
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

S3_SERVER = Path(__file__).parents[1] / "s3" / "server.py"
TINT = str(Path(__file__).with_name("tint.yaml"))
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200), "green": (40, 180, 60)}


def paint(path, boxes, size=(60, 40)):
    """Writes a grey image, width x height, with boxes of a colour: (name, x, y, width, height)."""
    image = np.full((size[1], size[0], 3), 120, np.uint8)
    for name, x, y, width, height in boxes:
        image[y : y + height, x : x + width] = COLOURS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@dataclass
class Painted:
    """Prompts for `tint` and images to look through, below a folder."""

    root: Path

    def prompt(self, concept, name=None, colour=None):
        """Writes a prompt with its mask."""
        path = self.root / "prompts" / f"{name or concept}.png"
        paint(path, [(colour or concept, 5, 5, 30, 30)])
        mask = np.zeros((40, 60), np.uint8)
        mask[5:35, 5:35] = 255
        Image.fromarray(mask).save(path.with_suffix(".mask.png"))

    def image(self, key, *boxes):
        """Writes an image with boxes of colours."""
        paint(self.root / "images" / key, boxes)

    def config(self, *settings) -> Config:
        """Of `tint`; everything it works on is noted below `notes`."""
        return load_config(TINT, settings)

    def request(self, out="run", *settings, **more) -> Request:
        """Of a run over the images, in this process unless said otherwise."""
        given = {"engine": "local", **more}
        if "bank" not in given:
            given.setdefault("prompts", f"{self.root}/prompts")
        given.setdefault("config", self.config(*settings))
        return Request(f"{self.root}/images", f"{self.root}/{out}", **given)

    def segment(self, out="run", *settings, **more):
        """A finished run, and its rows by key without their run."""
        run = segment(self.request(out, *settings, **more))
        return run, _contents(run.out)[0]


@dataclass
class KeysRun:
    """Settings of a run; `go` starts it, as often as wanted."""

    out: str
    keys: list[str]
    steps: list = field(default_factory=synthetic_steps)
    engine: str = "local"
    runtime: Runtime = field(default_factory=lambda: Runtime(part_rows=4, batch_size=2))
    budget: FailureBudget = field(default_factory=FailureBudget)
    retry: object = None
    shards: int = 2
    group_rows: int | None = None

    def go(self):
        with Spool(("key", "uri")) as spool:
            spool.add({"key": key, "uri": ""} for key in self.keys)
            shards = spool.write(self.out, self.shards)
        source = Source("keys", "images", shards, len(self.keys), {})
        by = Provenance(uuid4().hex, "synthetic", "0" * 64, ())
        work = Work(
            source,
            self.steps,
            ("key", "shard", "uri"),
            ("key", "shard", "uri", "width", "height", *OBJECTS),
            ShardWriter(self.out, by, group_rows=self.group_rows),
            self.runtime.part_rows,
            self.retry,
        )
        with engine_for(self.engine, self.runtime) as engine:
            return process(engine, work, self.budget)


def _contents(out):
    """Rows by key without their run, and how many rows the parts hold."""
    rows = {row["key"]: row for row in read_rows(out)}
    for row in rows.values():
        del row["run_id"]
    return rows, sum(pq.read_metadata(part).num_rows for part in part_files(out))


@pytest.fixture
def painted(tmp_path):
    """Two concepts, and images with one of them, both, and none."""
    world = Painted(tmp_path)
    for name in ("red", "blue"):
        world.prompt(name)
    world.image("a.png", ("red", 4, 6, 20, 20))
    world.image("b.png", ("blue", 30, 10, 20, 20))
    world.image("deep/c.png", ("red", 2, 2, 20, 20), ("blue", 30, 10, 20, 25))
    world.image("d.png")
    world.image("e.png", ("green", 4, 6, 20, 20))
    return world


@pytest.fixture(scope="session")
def keys_run():
    """The class of runs over keys."""
    return KeysRun


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
