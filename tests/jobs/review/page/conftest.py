"""The server of a review in a process of its own, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


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


@pytest.fixture(scope="module")
def server(run: str, serving: Any) -> Any:
    """Serves the `run` of a module."""
    return serving(run)


@pytest.fixture
def page(server: Any, tab: Any) -> Any:
    """A tab with the page of that server."""
    return tab(server.address)
