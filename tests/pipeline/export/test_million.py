"""The short form of tests/million/run.py: few rows, a kill half way, the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "million" / "run.py"


@pytest.mark.timeout(300)
def test_killed_and_made_again_it_has_the_same_bytes(tmp_path):
    command = [sys.executable, "-W", "ignore", PROGRAM, "--rows", "2000", "--formats", "coco"]
    done = subprocess.run(
        [*command, "--folder", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bytes" in done.stdout
