"""A miniature evaluation: small images, masks of one square, results counted on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.benchmarks.episode import Episode, Example, to_table
from ipseg.benchmarks.results import RESULTS
from ipseg.metrics import Region
from ipseg.objects import Object
from ipseg.vision.images import encode_jpeg, encode_png

SIZE = (48, 64)  # height, width
ONE = ({"label": "", "settings": []},)


def square(shift: int = 0) -> np.ndarray:
    """(H, W) bool: 20 x 20 pixels, moved to the right."""
    mask = np.zeros(SIZE, bool)
    mask[14:34, 10 + shift : 30 + shift] = True
    return mask


@dataclass
class Miniature:
    """Writes run folders below a folder.

    Attributes:
        root: of the images and the runs.
        answers: (fold, episode, variant) -> objects found.
    """

    root: Path
    answers: dict[tuple[str, int, str], list[Object]] = field(default_factory=dict)

    def predictions(
        self, out: str, wanted: Collection[tuple[str, int, str]]
    ) -> Mapping[tuple[str, int, str], list[Object]]:
        """What the report asks for."""
        assert out
        return {key: self.answers[key] for key in wanted if key in self.answers}

    def example(self, name: str, number: int, crop: Any = None) -> Example:
        """A grey image, named by its number so that a hostile class name is no path."""
        photo, mask = self.root / f"{number}.jpg", self.root / f"{number}.png"
        if not photo.exists():
            photo.write_bytes(encode_jpeg(np.full((*SIZE, 3), 128, np.uint8)))
            mask.write_bytes(encode_png(square().astype(np.uint8) * 255))
        return Example(f"{name}/{number}.jpg", str(photo), f"{mask}#above=127", crop)

    def __call__(
        self,
        name: str = "run",
        *,
        folds: Sequence[str] = ("",),
        classes: Sequence[str] = ("cat", "dog"),
        unused: Sequence[str] = (),
        each: int = 3,
        variants: Sequence[dict[str, Any]] = ONE,
        failed: Collection[int] = (),
        missing: Collection[int] = (),
        shift: Callable[[int, int], int] = lambda episode, _variant: episode,
        crop: tuple[int, int, int, int] | None = None,
        message: str = "the image is cut off",
        **evaluation: Any,
    ) -> str:
        """Writes a run in which episode n of variant v is answered by a square shifted by pixels.

        Returns:
            Its folder.
        """
        out = self.root / name
        out.mkdir()
        episodes, rows = [], []
        for fold in folds:
            for number in range(each * len(classes)):
                class_id = number // each
                called = classes[class_id]
                query = self.example(called, number, crop)
                support = self.example(called, 100 + class_id)
                episodes.append(
                    Episode(number, fold, class_id, called, query, (support, support), 0)
                )
                for v, variant in enumerate(each for each in variants if not each.get("refused")):
                    rows.append(
                        self._row(episodes[-1], variant["label"], shift(number, v), message)
                        | ({"status": "ok"} if number not in failed else _failure(message))
                    )
        rows = [row for row in rows if row["episode"] not in missing]
        pq.write_table(to_table(episodes), out / "episodes.parquet")
        pq.write_table(pa.Table.from_pylist(rows, RESULTS), out / "results.parquet")
        names = {str(n): called for n, called in enumerate([*classes, *unused])}
        protocol = {
            "formula": "B",
            "side": None,
            "ground_truth_resize": "nearest",
            "given_mask": False,
        }
        content = {
            "benchmark": "folder",
            "title": "A folder",
            "method": "ipseg",
            "profile": "classical",
            "shot": 1,
            "seed": 0,
            "rule": "",
            "formula": "B",
            "formulas": ["B", "A"],
            "protocol": {**protocol, "boundaries": False, "assign": "binary"},
            "folds": {
                fold: {
                    "classes": names,
                    "episodes": each * len(classes),
                    "episodes_sha256": "cd" * 32,
                    "published_list": None,
                }
                for fold in folds
            },
            "variants": [{"method": "ipseg", "profile": "classical", **v} for v in variants],
            "table": None,
            "dropped": [],
            "config_sha256": "ab" * 32,
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:02:05+00:00",
            "seconds": 125.0,
            "rows_per_second": 12.5,
            "stages": [
                {
                    "stage": "match",
                    "rows": len(rows),
                    "failed": 0,
                    "seconds": 4.5,
                    "bytes_per_row": 14_400.0,
                    "image_bytes_per_row": 0.0,
                }
            ],
        }
        (out / "evaluation.json").write_text(json.dumps(content | evaluation))
        return str(out)

    def _row(self, episode: Episode, variant: str, shift: int, message: str) -> dict[str, Any]:
        found = square(shift)
        points = np.array([(20.0 + shift, 20.0, 1)], np.float32)
        answer = Object.of("entry", 1, found, 0.5, points=points)
        self.answers[episode.fold, episode.episode, variant] = [answer]
        region = Region.of(found, square())
        return {
            **{name: getattr(episode, name) for name in ("episode", "fold", "class_id")},
            "class_name": episode.class_name,
            "variant": variant,
            "query": episode.query.key,
            **vars(region),
        }


def _failure(message: str) -> dict[str, Any]:
    counts = dict.fromkeys(("pixels", "intersection", "union", "ground_truth", "predicted"))
    return {"status": "failed", "error_message": message, **counts}


@pytest.fixture
def evaluation(tmp_path: Path) -> Miniature:
    """Writes run folders."""
    return Miniature(tmp_path)


@pytest.fixture
def costs() -> dict[str, Any]:
    """Of an evaluation of two settings, which have a step in common."""
    steps = (
        ("decode", [], 9.0, 0, "none"),  # is no step of the method
        ("match", [], 1.0, 4, "dinov2"),
        ("segment", ["one"], 3.0, 4, "sam"),
        ("segment", ["two"], 7.0, 4, "sam 2"),
    )
    return {
        "variants": [
            {"label": label, "settings": [], "steps": ["match", "segment"]}
            for label in ("one", "two")
        ],
        "costs": [
            {
                **{"step": step, "variants": labels, "rows": 4, "seconds": seconds},
                **{"encoded": encoded, "working": 1_000_000, "networks": {name: 2_000_000}},
            }
            for step, labels, seconds, encoded, name in steps
        ],
    }
