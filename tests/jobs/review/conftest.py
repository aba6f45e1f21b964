"""Small runs to review, the server on them, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from playwright.sync_api import sync_playwright

from ipseg.config import load_config
from ipseg.objects import Object
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import write_part
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.shard import key_hash

BY = Provenance("20260101T000000-abcdef01", "ipseg/classical", "ab" * 32, ())
SIZE = (96, 128)  # height, width
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


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


@dataclass
class Serving:
    """The command `ipseg review` in a process of its own."""

    out: str
    port: int
    started: float = 0.0
    address: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        begun = time.monotonic()
        words = [sys.executable, "-m", "jobs.cli", "review", self.out, "--port", str(self.port)]
        words += ["--who", "ann"]
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.address = self._process.stdout.readline().strip()
        assert self.address, self._process.stderr.read()
        self.port = int(self.address.rpartition(":")[2].partition("/")[0])
        self.started = time.monotonic() - begun

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def stop(self) -> tuple[int, str]:
        """Ctrl-C; exit code and what was logged."""
        self._process.send_signal(signal.SIGINT)
        return self._end()

    def _end(self) -> tuple[int, str]:
        _, errors = self._process.communicate(timeout=20)
        code, self._process = self._process.returncode, None
        return code, errors

    @property
    def runs(self) -> bool:
        return self._process is not None


@pytest.fixture(scope="session")
def serving() -> Iterator[Any]:
    """Function: run folder -> its review being served."""
    started: list[Serving] = []

    def serve(out: str) -> Serving:
        each = Serving(out, 0)
        started.append(each)
        each.start()
        return each

    yield serve
    for each in started:
        if each.runs:
            each.kill()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    if _CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as driver:
        home = tmp_path_factory.mktemp("home")
        environment = {**os.environ, "HOME": str(home)}
        chromium = driver.chromium.launch(
            executable_path=_CHROMIUM, args=list(_FLAGS), env=environment
        )
        yield chromium
        chromium.close()


class Tab:
    """A tab of the browser; it may talk to nobody but this machine, and log no error."""

    def __init__(self, context: Any, address: str) -> None:
        self.page = context.new_page()
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda each: self.hosts.add(urlsplit(each.url).hostname or "blob"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        self.go(address)

    def go(self, address: str) -> None:
        self.page.goto(address)
        self.until("document.body.dataset.ready")

    def ask(self, expression: str, given: Any = None) -> Any:
        return self.page.evaluate(expression, given)

    def until(self, expression: str, seconds: float = 20) -> None:
        # Not wait_for_function, whose `eval` the page's policy forbids.
        end = time.monotonic() + seconds
        while not self.ask(f"Boolean({expression})"):
            assert time.monotonic() < end, f"{expression}: {self.errors}"
            time.sleep(0.01)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def saved(self) -> None:
        """Waits until every decision is on disk."""
        self.until("review.outbox.waiting.length === 0")

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def single(self) -> None:
        """The single view, with an image that can be decided about."""
        if self.ask("review.view") != "single":
            self.press("v")
        self.until("review.single.main && review.single.item?.whole && review.single.stage.image")

    def decide(self, *keys: str) -> dict[str, Any]:
        """Presses keys about the object that is seen; waits for the next one and returns it."""
        self.single()
        item = self.ask("({...review.single.item, mask: review.single.item.whole.mask})")
        self.press(*keys)
        self.until(f"review.single.item?.o !== {item['o']}")
        return item


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """Function: (address, options of the context) -> `Tab`; a context is a user of their own."""
    tabs: list[Tab] = []
    contexts: list[Any] = []

    def open_tab(address: str, context: Any = None, **options: Any) -> Tab:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
            contexts.append(context)
        tabs.append(Tab(context, address))
        return tabs[-1]

    yield open_tab
    for each in tabs:
        assert each.hosts <= {"127.0.0.1", "blob"}
        assert not each.errors
    for context in contexts:
        context.close()
