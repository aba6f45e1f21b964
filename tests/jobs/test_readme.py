"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ipseg.config import load_config
from pipeline.segment import Request, segment

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture(scope="module")
def run(image_folder, prompt_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("readme")
    request = Request(
        str(image_folder),
        str(root / "demo-out" / "run"),
        load_config(),
        prompts=str(prompt_folder),
        engine="local",
    )
    segment(request)
    return root


def test_ten_lines_read_the_masks_back(run):
    (code,) = re.findall(r"<!-- tested -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12, "six pictures, two concepts"
    assert lines[0].startswith("cup-crop.jpg cat ")


def test_both_commands_are_targets_of_the_makefile():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
