"""`ipseg segment` that is stopped: what it has done is written, and it says how to go on."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ipseg.errors import OutputError
from ipseg.storage.walk import list_files
from pipeline.rescore import rescore
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import PARTS, read_rows
from pipeline.runfolder.survey import survey_run

TINT = str(Path(__file__).with_name("tint.yaml"))
PATIENCE = 240  # seconds; on a busy machine Ray alone takes one minute
COUNT = 600
SIZE = 256  # of a part, by default
# Starts a program that heeds SIGINT, which one that a script has put back does not; its stdin is
# the terminal from which Ctrl-C comes, if it is one.
HEEDING = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def slow(painted):
    """Images that take six seconds on two cores."""
    image = (painted.root / "images" / "a.png").read_bytes()
    for number in range(COUNT - 5):
        (painted.root / "images" / f"{number:03}.png").write_bytes(image)
    return painted


def command(world, engine, *settings):
    words = [sys.executable, "-c", HEEDING, "-m", "jobs.cli", "segment"]
    words += ["--images", f"{world.root}/images", "--engine", engine]
    words += ["--prompts", f"{world.root}/prompts", "--out", f"{world.root}/run"]
    words += ["--profile", TINT, "--set", "seconds=0.02"]
    return words + [word for each in settings for word in ("--set", each)]


def parts(world):
    return list_files(f"{world.root}/run", PARTS)


def wait_for(what, process):
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None, "it has ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def ended(process):
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def in_terminal(words, act):
    """(exit code, all that is on the terminal) of a program to which `act` does something."""
    ours, its = pty.openpty()
    streams = {"stdin": its, "stdout": its, "stderr": its}
    with ended(subprocess.Popen(words, **streams, start_new_session=True)) as process:
        os.close(its)
        os.set_blocking(ours, False)
        seen = b""

        def look():
            nonlocal seen
            try:
                seen += os.read(ours, 1 << 16)
            except OSError:  # nothing new, or nobody has it open any more
                time.sleep(0.01)

        deadline = time.monotonic() + PATIENCE
        while process.poll() is None:
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            look()
            act(ours, seen)
        look()
    os.close(ours)
    return process.returncode, seen.decode(errors="replace")


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_control_c_in_a_terminal_says_what_is_kept_and_how_to_go_on(slow, engine):
    pressed = []

    def press(terminal, seen):
        counted = re.findall(r"(\d+)/600", seen.decode(errors="replace"))  # by the bar
        if not pressed and counted and int(counted[-1]) > 20:
            pressed.append(int(counted[-1]))
            os.write(terminal, b"\x03")

    code, screen = in_terminal(command(slow, engine), press)
    assert code == 130, screen
    last = screen.strip().splitlines()[-1]
    assert "ipseg: interrupted; a run goes on where it was with the same command" in last
    kept = int(re.search(r"stopped: the (\d+) rows that this run has done are in", screen)[1])
    status = survey_run(f"{slow.root}/run")
    assert kept == status.done == len(list(read_rows(f"{slow.root}/run")))
    assert max(pressed) <= kept < COUNT
    assert len(parts(slow)) == -(-kept // SIZE), "one small part at most"


def test_a_signal_to_all_of_its_group_leaves_ray_until_rows_are_written(slow, tmp_path):
    log, words = tmp_path / "log", command(slow, "ray")

    def counted():
        return [int(n) for n in re.findall(r"images: (\d+) of 600", log.read_text())]

    streams = {"stdin": subprocess.DEVNULL, "start_new_session": True}
    with (
        log.open("wb") as file,
        ended(subprocess.Popen(words, stderr=file, **streams)) as process,
    ):
        wait_for(lambda: any(counted()), process)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM, log.read_text()
    assert "ipseg: terminated; a run goes on" in log.read_text()
    assert max(counted()) <= len(list(read_rows(f"{slow.root}/run"))) < COUNT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_every_row_that_the_log_has_counted(slow, number, tmp_path):
    log, words = tmp_path / "log", command(slow, "local")
    with (
        log.open("wb") as file,
        ended(subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=file)) as process,
    ):
        wait_for(lambda: "images: " in log.read_text(), process)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    counted = max(int(n) for n in re.findall(r"images: (\d+) of 600", log.read_text()))
    assert 0 < counted <= len(list(read_rows(f"{slow.root}/run")))
    assert len(parts(slow)) <= 2


def test_rows_are_written_after_a_while_and_the_rest_without_delay(slow):
    flushing = command(slow, "local", "runtime.flush_seconds=0.5")
    with ended(subprocess.Popen(flushing)) as process:
        wait_for(lambda: len(parts(slow)) >= 3, process)
        process.kill()  # without warning
        process.wait()
    status = survey_run(f"{slow.root}/run")
    assert 0 < status.done == sum(pq.read_metadata(part).num_rows for part in parts(slow)) < COUNT
    assert subprocess.run(command(slow, "local"), check=False).returncode == 0
    assert survey_run(f"{slow.root}/run").done == COUNT
    assert survey_run(f"{slow.root}/run").repeated == 0


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_no_row_is_there_twice_where_a_concept_was_added_and_the_run_stopped(slow, engine):
    out, count = f"{slow.root}/run", 150
    for image in sorted((slow.root / "images").rglob("*.png"))[count:]:
        image.unlink()
    assert subprocess.run(command(slow, "local"), check=False).returncode == 0
    before = set(parts(slow))
    slow.prompt("a-green", colour="green")
    adding = command(slow, engine, "runtime.flush_seconds=0.2")
    with ended(subprocess.Popen(adding)) as process:
        wait_for(lambda: set(parts(slow)) - before, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    written = [row for part in parts(slow) for row in pq.read_table(part).to_pylist()]
    assert len(written) == len({row["key"] for row in written}) == count
    started = Manifest.read(out).runs[-1]["run_id"]
    done = sum(row["run_id"] == started for row in written)
    status = survey_run(out)
    assert (status.done, status.left, status.repeated) == (done, count - done, 0)
    assert 0 < done < count
    with pytest.raises(OutputError, match=r"is not finished: start its command again first"):
        rescore(out, ["scoring.presence=0"])
    assert subprocess.run(command(slow, "local"), check=False).returncode == 0
    status = survey_run(out)
    assert (status.done, status.left, status.repeated) == (count, 0, 0)
    whole = list(read_rows(out, ["run_id", "prompt_ids"]))
    assert sum(row["run_id"] == started for row in whole) == done, "what was kept is not done again"
    assert all(len(row["prompt_ids"]) == 3 for row in whole)
