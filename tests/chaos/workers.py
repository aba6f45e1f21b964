"""Faults of Ray's workers and machines: killed at work, killed while they load, ended by a row."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import ray
from audit import Findings, undisturbed, written
from audit import rows as rows_of
from driver import Job
from hurt import LOADING_SECONDS
from ray._private.node import Node
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.exceptions import RayError
from trial import Place, Saboteur, await_, finish, gone, kill

from ipseg.errors import IpsegError, StallError

WORK = ("ray::Map", "ray::Read", "ray::Write", "ray::StreamingRepartition")
RECORD = "ray::_MeteredRecord"


def workers(titles: str | tuple[str, ...], root: int | None = None) -> dict[int, str]:
    """Ray's worker processes below a process (this one), by their number, that bear a title."""
    found = {}
    for process in psutil.Process(root).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline()).strip()
            if title.startswith(titles) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = title
    return found


def shoot(
    chance: random.Random,
    titles: str | tuple[str, ...],
    spared: set[int] | frozenset[int] = frozenset(),
) -> str:
    """kill -9 of one worker with such a title, but for those of other runs; who it was, or ""."""
    aims = {pid: title for pid, title in workers(titles).items() if pid not in spared}
    if not aims:
        return ""
    pid = chance.choice(sorted(aims))
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if not " ".join(process.cmdline()).startswith(titles):
            return ""  # it has turned to something else
        if kill(process):
            return aims[pid].partition(" ")[0]
    return ""


def at_random(
    job: Job, chance: random.Random, strike: Callable[[], bool], until: float = 0.8
) -> AbstractContextManager[None]:
    """Somebody who strikes at a random moment, before a share of the rows was worked on."""
    moment = chance.randrange(1, int(job.rows * until))
    return Saboteur(job.seen, moment, chance.uniform(0, 0.2), strike).beside()


def settled(job: Job, findings: Findings) -> None:
    """Starts the job once more: nothing may be left to do; then looks at every row."""
    if (outcome := finish(job.again(), findings)) is not None:
        findings.check(outcome.done_now == 0, f"{outcome.done_now} rows were left to do")
    findings.audit(job.out, undisturbed(job.rows))


def worker_killed(place: Place, chance: random.Random, findings: Findings) -> None:
    """kill -9 of any process that works for the run; the run itself must go on."""
    spared = frozenset(workers(WORK))
    job = place.job(batch_size=chance.choice([2, 4]), part_rows=chance.choice([4, 8, 16]))
    with at_random(job, chance, lambda: findings.struck(shoot(chance, WORK, spared))):
        finish(job, findings)
    settled(job, findings)


def workers_killed(place: Place, chance: random.Random, findings: Findings) -> None:
    """kill -9 of one worker after the other, each at other rows."""
    spared = frozenset(workers(WORK))
    job = place.job(rows=300, part_rows=chance.choice([4, 8, 16]))

    def strike() -> bool:
        if findings.struck(shoot(chance, WORK, spared)):
            time.sleep(chance.uniform(0.3, 0.8))
        return len(findings.hit) == 3

    with at_random(job, chance, strike):
        finish(job, findings)
    settled(job, findings)


def record_killed(place: Place, chance: random.Random, findings: Findings) -> None:
    """kill -9 of the run's record: the run must end by itself, and go on when started again."""
    spared = frozenset(workers(RECORD))
    job = place.job()
    with (
        at_random(job, chance, lambda: findings.struck(shoot(chance, RECORD, spared)), 0.6),
        contextlib.suppress(IpsegError, RayError),
    ):
        job.do()
    before, again = written(job.out), job.again()
    finish(again, findings)
    findings.resumed(before, again.seen)
    settled(again, findings)


def setup_killed(place: Place, chance: random.Random, findings: Findings) -> None:
    """kill -9 of an actor that loads its model, once or twice in a row; the run must go on."""
    marks = place.folder / "marks"
    marks.mkdir()
    job, deaths = place.job(rows=120, marks=str(marks)), chance.choice([1, 2])
    aimed = set[Path]()

    def strike() -> bool:
        for mark in {mark for mark in marks.iterdir() if not mark.suffix} - aimed:
            aimed.add(mark)
            time.sleep(chance.uniform(0, LOADING_SECONDS / 2))
            with contextlib.suppress(psutil.NoSuchProcess):
                killed = kill(psutil.Process(int(mark.name)))
                if killed and not mark.with_suffix(".loaded").exists():
                    findings.hit.append("worker in setup")
        return len(findings.hit) >= deaths

    with Saboteur(job.seen, 0, 0.0, strike).beside():
        finish(job, findings)
    settled(job, findings)


def poison(place: Place, chance: random.Random, findings: Findings) -> None:
    """Rows that end whoever touches them: they are marked, cost no other, and can be done again."""
    rows = 40
    keys = chance.sample(place.job(rows=rows).keys, chance.choice([1, 1, 2]))
    job = place.job(
        rows=rows,
        shards=2,
        batch_size=chance.choice([2, 4]),
        deadly=tuple(keys),
        in_actor=chance.random() < 0.5,
    )
    finish(job, findings)
    poisoned = {row["key"] for row in rows_of(job.out) if row["row_status"] == "poisoned"}
    findings.check(poisoned == set(keys), f"poisoned: {poisoned} instead of {set(keys)}")
    findings.hit += [f"poison row {key}" for key in sorted(poisoned)]
    before = written(job.out) - poisoned
    repaired = job.again(deadly=(), retry="failed")
    finish(repaired, findings)
    findings.resumed(before, repaired.seen)
    settled(repaired, findings)


def machine_killed(place: Place, chance: random.Random, findings: Findings) -> None:
    """kill -9 of the raylet of a second node while it works.

    Where another machine takes its place, as on a cluster that is kept at its size, the run must go
    on. Where none does, what is left may be too small for the workers that come back; then the run
    must end with a named cause, and go on when started again.
    """
    replaced = chance.random() < 0.5
    job = place.job(
        rows=320,
        shards=8,
        seconds=0.006,
        part_rows=chance.choice([8, 16]),
        stall_seconds=60.0 if replaced else 15.0,
    )
    nodes = [_add_node(place)]
    (started,) = nodes[0].all_processes[PROCESS_TYPE_RAYLET]
    raylet = psutil.Process(started.process.pid)

    def strike() -> bool:
        there = [psutil.Process(pid) for pid in workers(WORK, raylet.pid)]
        if not there or not kill(raylet):
            return False
        started.process.wait()  # reaped, as by a machine's init: to its workers a zombie lives
        findings.check(all(gone(each, 30) for each in there), "workers outlive their raylet")
        if replaced:
            with patch.object(Node, "_register_shutdown_hooks"):  # only for the main thread
                nodes.append(_add_node(place))
        return findings.struck(f"raylet, {'' if replaced else 'not '}replaced")

    try:
        with at_random(job, chance, strike):
            try:
                job.do()
            except StallError as error:
                findings.check(not replaced, f"it stalled: {error}")
    finally:
        for node in nodes:
            place.cluster.remove_node(node, allow_graceful=False)
        await_(lambda: sum(each["Alive"] for each in ray.nodes()) == 1, lambda: True)
    before, again = written(job.out), job.again()
    finish(again, findings)
    findings.resumed(before, again.seen)
    settled(again, findings)


def _add_node(place: Place) -> Any:
    return place.cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
