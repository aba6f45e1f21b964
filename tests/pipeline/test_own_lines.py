"""What a run on Ray prints on stderr is ours: nothing of Ray's own; with -q ours is nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TINT = str(Path(__file__).with_name("tint.yaml"))
OURS = re.compile(r"\d\d:\d\d:\d\d INFO .+")


# Ray does not know of -q, which is tried where nothing but our own lines can be.
@pytest.mark.parametrize(("engine", "quiet"), [("local", True), ("ray", False)])
def test_stderr_has_lines_of_ours_alone(painted, engine, quiet):
    words = [sys.executable, "-m", "jobs.cli", "segment", "--images", f"{painted.root}/images"]
    words += ["--prompts", f"{painted.root}/prompts", "--out", f"{painted.root}/run"]
    words += ["--profile", TINT, "--engine", engine, *(["-q"] if quiet else [])]
    where = {"cwd": Path(__file__).parents[2], "env": os.environ | {"PYTHONPATH": "."}}
    ended = subprocess.run(words, capture_output=True, text=True, check=False, **where)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert bool(lines) is not quiet
    assert all(OURS.fullmatch(line) for line in lines), ended.stderr
