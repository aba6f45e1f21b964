"""Every benchmark in miniature, the command to run on it, and pages taken apart."""

import base64
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def miniatures():
    """Benchmark -> function that writes it below a folder."""
    from miniatures import MAKERS

    return MAKERS


@pytest.fixture(scope="session")
def painted():
    """Function: (address of an image, label -> box) -> labels; writes the image."""
    from miniatures import paint

    return paint


@pytest.fixture(scope="session")
def command():
    """Runs the command in this process and returns its exit code."""

    def run(*words: object) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["ipseg", *map(str, words)])
            try:
                main()
            except SystemExit as stop:
                return int(stop.code or 0)
        return 0

    return run


@pytest.fixture
def ipseg(command, capfd):
    """Runs the command in this process: (exit code, stdout, stderr)."""

    def run(*words):
        capfd.readouterr()
        return command(*words), *capfd.readouterr()

    return run


class Page(HTMLParser):
    """Collects what tests of pages ask about, and checks that tags are closed in order."""

    _VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"
        parts = re.split(r"<h2>(.*?)</h2>", html)
        self.sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"handler {name} on {tag}"
            if name in {"src", "href", "srcset", "action", "data", "xlink:href"}:
                self.addresses.append(value or "")
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"nothing open for </{tag}>"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def keys(self, section: str) -> list[str]:
        """Keys of the tiles of a gallery."""
        return re.findall(r'class="key" title="([^"]*)"', self.sections[section])

    def images(self, section: str) -> list[np.ndarray]:
        """The images of a section, as int."""
        found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', self.sections[section])
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(f)))).astype(int) for f in found]


@pytest.fixture(scope="session")
def page():
    """Function: path of an HTML file -> `Page`."""
    return lambda path: Page(Path(path).read_text(encoding="utf-8"))
