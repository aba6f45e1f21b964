import json
import os
import socket
import subprocess
import sys
import time

import pytest

from ipseg.errors import OutputError
from pipeline.runfolder import lease
from pipeline.runfolder.lease import Lease


@pytest.fixture
def held(tmp_path):
    """Writes a lease as another process would."""

    def write(host, pid, age=0.0):
        content = {"run_id": "other", "host": host, "pid": str(pid)}
        (tmp_path / ".lease.json").write_text(
            json.dumps({**content, "refreshed": str(time.time() - age)})
        )

    return write


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_lease_is_there_while_it_is_held(tmp_path):
    with Lease(str(tmp_path), "mine"):
        content = json.loads((tmp_path / ".lease.json").read_text())
        assert (content["run_id"], content["pid"]) == ("mine", str(os.getpid()))
    assert not (tmp_path / ".lease.json").exists()


def test_a_run_that_is_alive_on_this_machine_keeps_others_out(tmp_path, held, sleeper):
    held(socket.gethostname(), sleeper.pid)
    with pytest.raises(OutputError, match=f"process {sleeper.pid} on .* is writing to"):
        Lease(str(tmp_path), "mine").__enter__()
    sleeper.kill()
    sleeper.wait()
    with Lease(str(tmp_path), "mine"):
        pass


def test_another_machine_is_given_time_to_show_that_it_is_alive(tmp_path, held, monkeypatch):
    monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.3)
    held("elsewhere", 1, age=5)
    with Lease(str(tmp_path), "mine"):
        time.sleep(0.25)
        refreshed = float(json.loads((tmp_path / ".lease.json").read_text())["refreshed"])
        assert time.time() - refreshed < 0.2, "kept fresh"


def test_a_lease_that_was_taken_over_is_not_given_back(tmp_path, held):
    with Lease(str(tmp_path), "mine"):
        held("elsewhere", 1)
    assert json.loads((tmp_path / ".lease.json").read_text())["run_id"] == "other"
