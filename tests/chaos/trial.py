"""One trial: a job, a fault at a random moment, the job again, and what is there then."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from audit import Findings, worked_on
from driver import Job

from ipseg.errors import IpsegError
from pipeline.process import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray.cluster_utils import Cluster

ATTEMPTS = 6  # at hitting something
PATIENCE = 120.0  # seconds for anything to happen at all
_GLANCE = 0.005


@dataclass(frozen=True)
class Place:
    """Where a trial runs.

    Attributes:
        folder: empty, of this trial alone.
        address: of the Ray cluster that this process is connected to, for other drivers.
        cluster: the same, where nodes can be added to it.
        s3_port: where the cluster's workers look for S3; None if they do not.
    """

    folder: Path
    address: str = ""
    cluster: Cluster | None = None
    s3_port: int | None = None

    def job(self, **more: object) -> Job:
        """A job in this folder."""
        return Job(str(self.folder / "run"), str(self.folder / "seen"), **more)

    def environment(self) -> dict[str, str]:
        """For drivers of their own, so that they join the cluster."""
        return {"RAY_ADDRESS": self.address} if self.address else {}


Act = Callable[[Place, random.Random, Findings], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: as in the table.
        act: one trial: does the work, lets it go wrong, and adds what it finds.
        trials: in the long form.
    """

    name: str
    act: Act
    trials: int


@dataclass
class Report:
    """One trial that counts: something was hit."""

    kind: str
    seed: int
    findings: Findings
    seconds: float
    attempts: int

    def __str__(self) -> str:
        """Enough to see what happened, and to do it again."""
        times = Counter(self.findings.hit)
        hit = ", ".join(f"{n} x {who}" if n > 1 else who for who, n in times.items()) or "nothing"
        lines = [f"{self.kind} (seed {self.seed}), hit: {hit}; {self.seconds:.1f} s"]
        return "\n    WRONG: ".join([*lines, *self.findings.wrong])


def run_trial(kind: Kind, seed: int, place: Place) -> Report:
    """One trial; where the fault came too late or too early, again with another moment."""
    started = time.monotonic()
    for attempt in range(ATTEMPTS):
        chance = random.Random(f"{kind.name} {seed} {attempt}")  # noqa: S311
        folder = place.folder / f"{kind.name.replace(' ', '-')}-{seed}-{attempt}"
        folder.mkdir(parents=True)
        findings = Findings()
        try:
            kind.act(replace(place, folder=folder), chance, findings)
        except Exception:  # noqa: BLE001  (the other trials go on; this one is reported as wrong)
            findings.wrong.append(traceback.format_exc())
        if findings.hit or findings.wrong:
            break
    else:
        findings.wrong.append(f"nothing was hit in {ATTEMPTS} attempts")
    return Report(kind.name, seed, findings, time.monotonic() - started, attempt + 1)


@dataclass
class Saboteur(threading.Thread):
    """Waits beside a run for its moment, then strikes.

    Attributes:
        seen: file of the job's witness.
        moment: strikes when so many rows were worked on...
        jitter: ...and so many seconds have passed since.
        strike: hits somebody; whether that was all, otherwise it is called again.
    """

    seen: str
    moment: int
    jitter: float
    strike: Callable[[], bool]
    error: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Waits and strikes."""
        try:
            while len(worked_on(self.seen)) < self.moment:
                if self._over.wait(_GLANCE):
                    return
            time.sleep(self.jitter)
            while not self._over.is_set() and not self.strike():
                self._over.wait(_GLANCE)
            self._over.wait()  # what it has started for the run ends with it (PR_SET_PDEATHSIG)
        except BaseException as error:  # noqa: BLE001  (raised by `beside`)
            self.error = error

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Is at work while the body runs."""
        self.start()
        try:
            yield
        finally:
            self._over.set()
            self.join()
        if self.error is not None:
            raise self.error


def kill(process: psutil.Process) -> bool:
    """kill -9, and whether it is that which ended the process."""
    try:
        process.kill()
        return gone(process)
    except psutil.NoSuchProcess:
        return False


def gone(process: psutil.Process, patience: float = 10.0) -> bool:
    """Whether a process has ended, or does so soon."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(_GLANCE)
    return False


def finish(job: Job, findings: Findings) -> Outcome | None:
    """Starts a job again in this process, until it ends; None and a finding if it does not."""
    try:
        outcome = job.do()
    except IpsegError as error:
        findings.wrong.append(f"started again, it ended with {type(error).__name__}: {error}")
        return None
    total = sum(outcome.counts.values())
    findings.check(total == job.rows, f"{job.rows} rows in, {total} rows out")
    return outcome


def await_(condition: Callable[[], bool], while_: Callable[[], bool]) -> bool:
    """Waits for a condition as long as something else holds; whether it came true.

    Raises:
        TimeoutError: neither happens.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if not while_():
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {PATIENCE:.0f} s")
        time.sleep(_GLANCE)
    return True
