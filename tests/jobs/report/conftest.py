"""Run folders in the published schema, written without running anything."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from skimage import data, draw

from ipseg.objects import Object
from ipseg.rows import Row
from ipseg.storage import retry
from ipseg.storage.files import write_whole
from ipseg.vision.images import encode_jpeg, thumbnail
from ipseg.vision.masks import encode_rle
from pipeline.prompts import STORED
from pipeline.runfolder.bank import GROUP_ROWS
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.sink import Provenance, ShardWriter, status_of
from pipeline.sources.listing import Spool

BY = Provenance("20260101T000000-abcdef01", "ipseg/classical", "ab" * 32, ())
STAGES = [("decode", 1.25, 0.0, 31_000.0), ("match", 4.5, 14_400.0, 31_000.0)]


@dataclass(frozen=True)
class Maker:
    """Makes rows, and writes them as a finished run.

    Attributes:
        photos: name -> path of an image of scikit-image.
    """

    photos: dict[str, Path]

    def disc(self, size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
        mask = np.zeros(size, bool)
        mask[draw.disk(centre, radius, shape=size)] = True
        return mask

    def found(self, concept: str, mask: np.ndarray, score: float, **more: Any) -> Object:
        """An object with a point in its middle, and one off it near the corner."""
        rows, columns = np.nonzero(mask)
        points = np.array([(columns.mean(), rows.mean(), 1), (3, 3, 0)], np.float32)
        given = {"predicted_iou": 0.5, "evidence": {"presence": score}, "points": points}
        return Object.of(concept, 1, mask, score, **{**given, **more})

    def metric(self, concept: str, iou: float | None, frame: int = 0) -> dict[str, Any]:
        """A comparison; None says that the concept is absent from the image."""
        union = 0 if iou is None else 1000
        return {
            **{"variant": "", "concept": concept, "class_name": concept, "class_id": 1},
            **{"fold": "", "frame": frame, "status": "ok", "error_message": None},
            **{"pixels": 5000, "union": union, "ground_truth": union},
            **{"intersection": round(union * (iou or 0)), "predicted": union},
        }

    def not_compared(self, concept: str, why: str) -> dict[str, Any]:
        """A comparison that failed."""
        asked = {"variant": "", "concept": concept, "class_name": concept, "frame": 0}
        return {**asked, "status": "failed", "error_message": why}

    def row(self, key: str, photo: str, **columns: Any) -> Row:
        height, width = getattr(data, photo)().shape[:2]
        place = {"key": key, "uri": str(self.photos[photo])}
        return {**place, "width": width, "height": height, "objects": [], **columns}

    def measured(self, cat: str = "cat", cup: str = "cup") -> list[Row]:
        """12 rows that have a cat, every third of them a cup, too; 6 that have neither."""
        size = data.chelsea().shape[:2]
        rows = []
        for number in range(12):
            first, second = (
                self.disc(size, (150, 120), 60 + number),
                self.disc(size, (120, 330), 40),
            )
            objects = [self.found(cat, first, 0.9 - number / 20), self.found(cup, second, 0.3)]
            cup_iou = 0.4 if number % 3 == 0 else None
            metrics = [self.metric(cat, 1 - number / 12), self.metric(cup, cup_iou)]
            key = f"cat-{number:02d}"
            rows.append(self.row(key, "chelsea", objects=objects, metrics=metrics))
        for number in range(6):
            moon = self.disc(data.moon().shape, (200, 200), 50)
            objects = [self.found(cup, moon, number / 50)]
            metrics = [self.metric(cat, None), self.metric(cup, None)]
            rows.append(self.row(f"none-{number}", "moon", objects=objects, metrics=metrics))
        return rows

    def write(
        self,
        out: str,
        rows: Sequence[Row],
        concepts: Sequence[str],
        quality: dict[str, Any] | None = None,
        **about: Any,
    ) -> None:
        """Writes a finished run with its bank; seven rows in a part, in two shards."""
        writer = ShardWriter(out, BY)
        for number, first in enumerate(range(0, len(rows), 7)):
            writer.write([{"shard": str(number % 2), **row} for row in rows[first : first + 7]])
        counts = dict.fromkeys(("ok", "empty", "failed", "poisoned"), 0)
        for row in rows:
            counts[status_of(row, "objects")] += 1
        times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:02:05+00:00"}
        known = {
            "profile": "classical",
            "method": "ipseg",
            "config": {"method": "ipseg", "points": {"k": 32}, "images": {"min_side": 1}},
            "config_sha256": "ab" * 32,
            "versions": {"ipseg": "0.1.0"},
            "bank": "bank",
            "row_is": "image",
            "concepts": list(concepts),
            "images": "s3://bucket/photos/*.parquet",
        }
        run = {"run_id": BY.run_id, **times, "counts": counts}
        Manifest(out, {}, known | about, [run]).write()
        metrics = {
            "rows": counts,
            "seconds": 125.0,
            "images_per_second": 12.5,
            "stages": [
                {
                    **{"stage": stage, "rows": len(rows), "seconds": seconds},
                    **{"bytes_per_row": per_row, "image_bytes_per_row": image},
                }
                for stage, seconds, per_row, image in STAGES
            ],
            "quality": quality,
            "baselines": {"all foreground": 0.31, "centre ellipse": 0.25} if quality else None,
        }
        write_whole(f"{out}/metrics.json", json.dumps(metrics).encode())
        self.write_bank(f"{out}/bank", concepts)

    def write_bank(self, folder: str, concepts: Sequence[str]) -> None:
        """A prompt for each concept: the first with a mask, the second with a warning."""
        photo = data.chelsea()
        mask = encode_rle(self.disc(photo.shape[:2], (150, 200), 90))
        rows = [
            {
                **{"key": f"{concept}.jpg", "uri": f"{concept}.jpg", "shard": "0"},
                **{"width": photo.shape[1], "height": photo.shape[0], "concept": concept},
                "prompts": [
                    {
                        **{"chain": "", "mask": mask, "features": {}},
                        "mask_source": "saliency" if number else "mask",
                        "warning": "covers nearly nothing" if number == 1 else None,
                    }
                ],
                "image_sha256": "00" * 32,
                "thumbnail": encode_jpeg(thumbnail(photo, 320)),
            }
            for number, concept in enumerate(concepts)
        ]
        ShardWriter(folder, BY, STORED, GROUP_ROWS).write(rows)

    def sequence(self, out: str) -> Row:
        """A sequence of 9 frames, listed in OUT, with two instances; frame 2 has none of them."""
        frames = [str(self.photos["chelsea"])] * 9
        with Spool(("key", "uri", "frame_uris")) as spool:
            spool.add([{"key": "run", "uri": frames[0], "frame_uris": frames}])
            (shard,) = spool.write(out)
        size = data.chelsea().shape[:2]
        objects = [
            self.found("cat", self.disc(size, (100 + 60 * i, 200), 40), 0.8, instance=i, frame=n)
            for n in range(9)
            for i in range(2)
            if n != 2
        ]
        return self.row("run", "chelsea", objects=objects, metrics=[], shard=shard.id)


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    folder = tmp_path_factory.mktemp("photos")
    photos = {}
    for name in ("chelsea", "coffee", "rocket", "moon"):
        photos[name] = folder / f"{name}.jpg"
        PIL.Image.fromarray(getattr(data, name)()).convert("RGB").save(photos[name])
    return Maker(photos)


@pytest.fixture
def quality():
    """Function: concepts -> what metrics.json says of them, some comparisons failed."""

    def make(*concepts: str, failed: int = 0) -> dict[str, Any]:
        each = {"mean_iou": 0.5, "present": 3, "images": 9, "average_precision": None}
        return {
            **{"mean_iou": 0.512, "pairs": 6, "average_precision": 0.75, "failed": failed},
            "concepts": {concept: {**each, "failed": failed} for concept in concepts},
        }

    return make


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch):
    """Function: share of requests that fail -> None; and a bucket of the server that does it."""
    from s3fs import S3FileSystem

    file = Path(__file__).parents[2] / "s3" / "server.py"
    spec = importlib.util.spec_from_file_location("s3_server_of_reports", file)
    program = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = program
    spec.loader.exec_module(program)
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.002)
    with program.s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        bucket = server.make_bucket("reports")
        yield lambda rate: server.inject(program.Faults(rate, seed=1, delay_s=0.01)), bucket, server
        S3FileSystem.clear_instance_cache()
