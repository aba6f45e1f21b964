"""Faults of the driver: SIGTERM and SIGKILL of a program of its own, and of `ipseg` itself."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from audit import Findings, worked_on, written
from driver import Job
from trial import Act, Place, await_, finish
from workers import settled

from pipeline.engines.choice import EngineName

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("driver.py")
PATIENCE = 90.0  # seconds in which a driver must end


# Runs a program that heeds Ctrl-C, as those that a script puts back do not.
HEEDING = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
JOB_STOP_SECONDS = 3  # Ray's default of RAY_JOB_STOP_WAIT_TIME_S


@contextmanager
def program(
    command: Sequence[str], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs; it does not outlive the body."""
    with (
        log.open("ab") as file,
        subprocess.Popen(
            [sys.executable, "-c", HEEDING, *command],
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def hit(process: subprocess.Popen[bytes], number: int, due: Callable[[], bool]) -> bool:
    """Sends a signal to a program when it is due, and whether it was still at work then.

    Raises:
        RuntimeError: it had failed by itself.
    """
    await_(due, lambda: process.poll() is None)
    if process.poll() is not None:
        if process.returncode:
            raise RuntimeError(f"the program ended by itself with {process.returncode}")
        return False
    process.send_signal(number)
    return process.wait(PATIENCE) != 0


def ended_as_expected(
    process: subprocess.Popen[bytes], number: int, log: Path, findings: Findings
) -> None:
    """Adds whom the signal has hit, and checks how it ended."""
    name = signal.Signals(number).name
    findings.hit.append(f"driver {process.pid} by {name}")
    expected = -number if number == signal.SIGKILL else 128 + number
    findings.check(
        process.returncode == expected,
        f"exit code {process.returncode} after {name} instead of {expected}:\n{tail(log)}",
    )


def tail(log: Path) -> str:
    """The end of what a program has said."""
    return log.read_text(errors="replace")[-2000:]


def driver_ended(engine: EngineName, number: int) -> Act:
    """Ends the driver once or several times, then lets the job finish."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        job = place.job(
            engine=engine,
            rows=200,
            seconds=0.004 if engine == "ray" else 0.002,
            part_rows=chance.choice([4, 8, 16]),
        )
        for _ in range(1 if engine == "ray" else chance.choice([1, 2, 3])):
            before = written(job.out)
            _disturb(place, job, number, chance, findings)
            findings.resumed(before, job.seen)
            job = job.again(batch_size=chance.choice([2, 4]), part_rows=chance.choice([4, 8, 16]))
        before = written(job.out)  # what is left of the driver's workers may still be writing
        finish(job, findings)
        findings.resumed(before, job.seen)
        settled(job, findings)

    return act


def _disturb(
    place: Place, job: Job, number: int, chance: random.Random, findings: Findings
) -> None:
    log = place.folder / "driver.log"
    command = [sys.executable, str(PROGRAM), job.to_json()]
    said = log.stat().st_size if log.exists() else 0
    with program(command, log, place.environment()) as process:
        if not hit(process, number, _moment(job, chance)):
            return
        ended_as_expected(process, number, log, findings)
    if number != signal.SIGKILL:
        kept(job, log.read_text(errors="replace")[said:], findings)


def _moment(job: Job, chance: random.Random) -> Callable[[], bool]:
    """Whether it is time: some rows were worked on, and a little more time has passed."""
    rows, jitter = chance.randrange(1, int(job.rows * 0.6)), chance.uniform(0, 0.1)

    def due() -> bool:
        if len(worked_on(job.seen)) < rows:
            return False
        time.sleep(jitter)
        return True

    return due


def job_stopped(place: Place, chance: random.Random, findings: Findings) -> None:
    """Ends a driver as `ray job stop` does, then lets the job finish.

    Ray starts what was submitted in a shell, sends SIGTERM to that and all below it, and SIGKILL
    to those that are still there after three seconds.
    """
    job, log = place.job(part_rows=chance.choice([16, 64])), place.folder / "driver.log"
    entrypoint = f"{shlex.join([sys.executable, str(PROGRAM), job.to_json()])}; exit $?"
    with program(["sh", "-c", entrypoint], log, place.environment()) as process:
        if not await_(_moment(job, chance), lambda: process.poll() is None):
            return
        above = psutil.Process(process.pid)
        everyone = [above, *above.children(recursive=True)]
        for each in everyone:
            each.terminate()
        _, alive = psutil.wait_procs(everyone, JOB_STOP_SECONDS)
        for each in alive:
            each.kill()
    findings.hit.append(f"job of {len(everyone)} processes")
    kept(job, log.read_text(errors="replace"), findings)
    before, again = written(job.out), job.again()
    finish(again, findings)
    findings.resumed(before, again.seen)
    settled(again, findings)


def kept(job: Job, log: str, findings: Findings) -> None:
    """Checks that every row is written that the log of a driver has counted as done."""
    counted = max((int(n) for n in re.findall(r"images: (\d+) of", log)), default=0)
    there = len(written(job.out))
    findings.check(there >= counted, f"{counted} rows were counted, {there} are written")
