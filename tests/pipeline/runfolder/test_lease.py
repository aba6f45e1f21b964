"""Leases: one holder, whatever happens. In test_lease_at_once.py several processes want one."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipseg.errors import OutputError
from ipseg.storage.files import write_whole
from pipeline.runfolder import lease
from pipeline.runfolder.lease import Lease, last_refreshed


@pytest.fixture
def held(tmp_path):
    """Writes a lease as another process would."""

    def write(host, pid, number=1):
        content = {"run_id": "other", "host": host, "pid": pid, "refreshed": time.time()}
        data = json.dumps({**content, "released": False}).encode()
        write_whole(f"{tmp_path}/.lease/{number:08d}.json", data)

    return write


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def numbers(folder):
    return sorted(int(file.stem) for file in Path(folder, ".lease").iterdir())


def test_a_lease_is_there_while_it_is_held(tmp_path):
    assert last_refreshed(str(tmp_path)) is None
    for number in (1, 2):
        with Lease(f"{tmp_path}/", "mine"):
            content = json.loads((tmp_path / ".lease" / f"{number:08d}.json").read_text())
            assert (content["run_id"], content["pid"]) == ("mine", os.getpid())
            assert abs(time.time() - last_refreshed(str(tmp_path))) < 5
        assert last_refreshed(str(tmp_path)) == 0
        assert numbers(tmp_path) == [number], "the highest number stays, and no other"


def test_a_run_that_is_alive_on_this_machine_keeps_others_out(tmp_path, held, sleeper):
    held(socket.gethostname(), sleeper.pid)
    with pytest.raises(OutputError, match=f"process {sleeper.pid} on .* is writing to"):
        Lease(str(tmp_path), "mine").__enter__()
    sleeper.kill()
    sleeper.wait()
    with Lease(str(tmp_path), "mine"):
        assert numbers(tmp_path) == [2]


def test_a_run_of_this_process_keeps_others_out_too(tmp_path, held):
    with (
        Lease(str(tmp_path), "first"),
        pytest.raises(OutputError, match=f"process {os.getpid()} on"),
    ):
        Lease(str(tmp_path), "second").__enter__()
    held(socket.gethostname(), os.getpid(), number=2)  # a dead process whose number came again
    with Lease(str(tmp_path), "third"):
        pass


def test_another_machine_is_given_time_to_show_that_it_is_alive(tmp_path, held, monkeypatch):
    monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.5)
    held("elsewhere", 1)
    with Lease(str(tmp_path), "mine"):
        taken = last_refreshed(str(tmp_path))
        while last_refreshed(str(tmp_path)) == taken:  # kept fresh
            time.sleep(0.02)
    monkeypatch.setattr(lease, "STALE_SECONDS", 20)
    held("elsewhere", 1, number=3)
    timer = threading.Timer(0.2, held, ("elsewhere", 1, 3))
    timer.start()
    with pytest.raises(OutputError, match="process 1 on elsewhere"):
        Lease(str(tmp_path), "mine").__enter__()
    timer.join()


def test_a_lease_that_is_being_written_is_looked_at_again(tmp_path, held, sleeper, monkeypatch):
    monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.1)
    write_whole(f"{tmp_path}/.lease/00000001.json", b"")
    timer = threading.Timer(0.2, held, (socket.gethostname(), sleeper.pid))
    timer.start()
    with pytest.raises(OutputError, match=f"process {sleeper.pid} on"):
        Lease(str(tmp_path), "mine").__enter__()
    timer.join()


def test_a_lease_that_was_taken_over_is_neither_refreshed_nor_given_back(
    tmp_path, held, monkeypatch, caplog
):
    monkeypatch.setattr(lease, "REFRESH_SECONDS", 0.05)
    with Lease(str(tmp_path), "mine") as mine:
        held("elsewhere", 1, number=2)
        mine._thread.join(10)
        assert "another run has taken" in caplog.text
    assert last_refreshed(str(tmp_path)) is not None, "the other holds it"


def test_a_number_that_was_used_and_cleared_away_is_not_held(tmp_path, held):
    held("elsewhere", 1, number=4)
    assert not Lease(str(tmp_path), "late")._claim(2)
    assert numbers(tmp_path) == [4]
