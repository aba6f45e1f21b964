"""All methods side by side, killed in one process and finished by Ray's workers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import together
from subject import differences, found_in

from pipeline.job import run_job
from pipeline.runfolder.parts import read_rows

pytestmark = pytest.mark.timeout(300)


@pytest.mark.usefixtures("ray_session")
def test_after_kill_9_ray_finishes_what_each_method_finds_alone(tiny_root, scenes, tmp_path):
    out = str(tmp_path / "run")
    command = [sys.executable, together.__file__, str(tiny_root), str(scenes.root), out]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=os.environ | {"PYTHONPATH": "."}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    before = {row["key"] for row in read_rows(out)}
    tried = together.subjects(tiny_root, scenes)
    done = run_job(together.job(tried, out, "ray"))
    assert 0 < len(before) == done.outcome.before
    assert done.outcome.counts == {"ok": 5, "empty": 0, "failed": 1, "poisoned": 0}
    for profile, subject in tried.items():
        assert not differences(found_in(out, profile), subject.usual), profile
