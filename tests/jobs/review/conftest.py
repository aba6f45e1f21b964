"""Small runs to review, and the server on them as its page talks to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from ipseg.config import load_config
from ipseg.objects import Object
from jobs.review.guard import Door
from jobs.review.index import read_index
from jobs.review.server import Server
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import write_part
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.shard import key_hash

BY = Provenance("20260101T000000-abcdef01", "ipseg/classical", "ab" * 32, ())
DOOR = Door("127.0.0.1", 8765)
BASE = "http://127.0.0.1:8765"
NAMES = itertools.count()
SIZE = (96, 128)  # height, width


@dataclass(frozen=True)
class Made:
    """Makes runs below a folder."""

    folder: Path
    size: tuple[int, int] = SIZE

    def image(self, name: str = "photo.jpg", seed: int = 0) -> str:
        file = self.folder / name
        if not file.exists():
            noise = np.random.default_rng(seed).integers(0, 255, (*self.size, 3), np.uint8)
            PIL.Image.fromarray(noise).save(file)
        return str(file)

    def box(self, x: int, y: int, w: int, h: int) -> np.ndarray:
        mask = np.zeros(self.size, bool)
        mask[y : y + h, x : x + w] = True
        return mask

    def found(self, concept: str, score: float, at: int = 0, **more: Any) -> Object:
        points = np.array([(at + 30, 40, 1), (3, 3, 0)], np.float32)
        given = {"predicted_iou": 0.5, "evidence": {"presence": score}, "points": points, **more}
        return Object.of(concept, 1, self.box(10 + at, 20, 40, 30), score, **given)

    def row(self, key: str, objects: Sequence[Object] = (), **more: Any) -> dict[str, Any]:
        height, width = self.size
        place = {"key": key, "uri": self.image(), "shard": "0", "width": width, "height": height}
        return {**place, "objects": list(objects), **more}

    def failed(self, key: str) -> dict[str, Any]:
        error = {"error_stage": "decode", "error_type": "ImageError", "error_message": "damaged"}
        return self.row(key, **error)

    def write(self, name: str, rows: Sequence[dict[str, Any]], concepts: Sequence[str]) -> str:
        out = str(self.folder / name)
        ShardWriter(out, BY).write(rows)
        self.manifest(out, concepts)
        return out

    def manifest(self, out: str, concepts: Sequence[str]) -> None:
        known = {"method": "ipseg", "config_sha256": "ab" * 32, "bank": "bank"}
        about: dict[str, Any] = {**known, "concepts": list(concepts)}
        about["config"] = load_config("classical", ["images.min_side=1"]).resolved
        Manifest(out, {}, about, [{"run_id": BY.run_id, "finished": "2026-01-01"}]).write()

    def cups_and_hats(self, name: str = "run", images: int = 30) -> str:
        """A cup in each image, its score going up, a hat in every third; one image failed."""
        rows = []
        for number in range(images):
            objects = [self.found("cup", (number + 1) / (images + 1), number % 20)]
            if number % 3 == 0:
                objects.append(self.found("hat", 0.9 - number / 100, 60))
            rows.append(self.row(f"{number:03}.jpg", objects))
        return self.write(name, [*rows, self.failed("broken.jpg")], ["cup", "hat"])

    def many(self, name: str, rows: int, per_part: int = 4000) -> str:
        """A run of many rows with three objects in two images each; keys and scores differ."""
        out = str(self.folder / name)
        few = [
            self.row(
                f"{n:08}",
                [self.found("cup", 0.5, n % 30), self.found("cup", 0.4, 50, instance=1)][
                    : 2 - n % 2
                ],
            )
            for n in range(40)
        ]
        pattern = ShardWriter(out, BY).table(few)
        one = pa.concat_tables([pattern] * (per_part // len(few)))
        noise = np.random.default_rng(1)
        for number, first in enumerate(range(0, rows, per_part)):
            keys = [f"folder/{n:08}.jpg" for n in range(first, first + per_part)]
            table = _with(one, "key", pa.array(keys))
            table = _with(table, "key_hash", pa.array([key_hash(key) for key in keys]))
            objects = table["objects"].combine_chunks()
            flat = objects.flatten()
            fields = [flat.field(f.name) for f in flat.type]
            fields[flat.type.get_field_index("score")] = pa.array(
                noise.random(len(flat)), "float32"
            )
            scored = pa.StructArray.from_arrays(fields, fields=list(flat.type))
            lists = pa.ListArray.from_arrays(objects.offsets, scored, type=objects.type)
            write_part(out, f"{number:05}", _with(table, "objects", lists))
        self.manifest(out, ["cup"])
        return out


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("review"))


class Client:
    """The page's side of the talk."""

    def __init__(self, out, who="ann"):
        self.out, self.who = out, who
        self.server = Server(read_index(out), who)
        self.door = DOOR
        self.http = self.stranger()
        self.http.headers["origin"] = BASE
        self.http.get(f"/?token={DOOR.token}")

    def stranger(self):
        """Somebody who has not come in by the token."""
        return TestClient(self.server.app(DOOR), base_url=BASE, follow_redirects=False)

    def get(self, route, **query):
        return self.http.get(f"/api/{route}", params=query)

    def items(self, **query):
        return self.get("items", **query).json()["items"]

    def post(self, *decisions, who=None):
        body = {"who": who or self.who, "decisions": list(decisions)}
        return self.http.post("/api/decisions", json=body).json()

    def about(self, item, decision, **more):
        (whole,) = self.get("objects", o=item["o"]).json()["objects"]
        known = {name: item[name] for name in ("key", "concept", "instance")}
        return {**new_decision(decision), **known, "mask": whole["mask"], **more}

    def status(self, item):
        return self.get("objects", o=item["o"]).json()["objects"][0]["status"]


def new_decision(decision, **more):
    return {"id": f"{next(NAMES):016x}", "decision": decision, **more}


@pytest.fixture(scope="session")
def new():
    """Function: (decision, ...) -> a record of one, with an id."""
    return new_decision


@pytest.fixture(scope="session")
def client_of():
    """Function: (run folder, person) -> `Client`."""
    return Client


@pytest.fixture
def client(made):
    return Client(made.cups_and_hats(f"server-{next(NAMES)}"))
