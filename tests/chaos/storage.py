"""Faults of storage: a disk that is full, a quota that is reached, object storage that stumbles."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import psutil
from audit import Findings, worked_on, written
from driver import Job
from drivers import PATIENCE, PROGRAM, program, tail
from images import put, segment_twice
from s3fs import S3FileSystem
from trial import Act, Place, await_, finish
from workers import settled

from ipseg.errors import OutputError
from ipseg.storage.files import write_whole
from pipeline.engines.choice import EngineName

SERVER = Path(__file__).parents[1] / "s3" / "server.py"
FAULT_RATE = 0.05
_PAGE = 4096
_PLENTY = 64 * 2**20


def disk_full(engine: EngineName) -> Act:
    """A small disk is full half way; after it has grown, the same work goes on."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        if not can_mount():
            quota_reached(place, chance, findings)
            return
        job = place.job(engine=engine, seconds=0.001, rows=160)
        size = int(_need(job) * chance.uniform(0.3, 0.8))
        with _disk(Path(job.out), size):
            _fill(job, findings)
            before = written(job.out)
            _mount("-o", f"remount,size={_PLENTY}", job.out)
            again = job.again()
            finish(again, findings)
            findings.resumed(before, again.seen)
            settled(again, findings)

    return act


def _fill(job: Job, findings: Findings) -> None:
    try:
        job.do()
    except OSError as error:
        findings.hit.append(f"{error.strerror} ({len(written(job.out))} rows before)")
    except OutputError as error:
        findings.check(
            "No space left" in str(error), f"it does not say that the disk is full: {error}"
        )
        findings.hit.append(f"No space left ({len(written(job.out))} rows before)")


def quota_reached(place: Place, chance: random.Random, findings: Findings) -> None:
    """From a random moment on the driver may write no more than a few bytes to any file."""
    job = place.job(engine="local", seconds=0.002)
    moment, log = chance.randrange(1, int(job.rows * 0.6)), place.folder / "driver.log"
    few = chance.randrange(4000, 7000)  # less than any part has, more than the log
    with program([sys.executable, str(PROGRAM), job.to_json()], log, {}) as process:
        if not await_(lambda: len(worked_on(job.seen)) >= moment, lambda: process.poll() is None):
            return
        psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, (few, few))
        process.wait(PATIENCE)
    if process.returncode == 0:
        return
    findings.check("File too large" in tail(log), f"ended otherwise than by quota:\n{tail(log)}")
    findings.hit.append(f"quota of {few} bytes after {moment} rows")
    before, again = written(job.out), job.again()
    finish(again, findings)
    findings.resumed(before, again.seen)
    settled(again, findings)


@cache
def can_mount() -> bool:
    """Whether this user may make a disk of its own."""
    with TemporaryDirectory() as folder:
        try:
            with _disk(Path(folder), _PAGE):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def _disk(where: Path, size: int) -> Iterator[None]:
    where.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


@cache
def _need_of(rows: int, part_rows: int) -> int:
    with TemporaryDirectory() as folder:
        job = Job(
            f"{folder}/run", f"{folder}/seen", rows, "local", seconds=0.0, part_rows=part_rows
        )
        job.do()
        sizes = [path.stat().st_size for path in Path(job.out).rglob("*") if path.is_file()]
        return sum(-(-size // _PAGE) * _PAGE for size in sizes)


def _need(job: Job) -> int:
    """Bytes of a disk on which the job's run folder just fits."""
    return _need_of(job.rows, job.part_rows)


def s3_synthetic(engine: EngineName) -> Act:
    """The run folder on S3, where every twentieth call goes wrong; the driver is killed, too."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        with s3_server(place.s3_port or free_port(), chance.randrange(2**31)) as server:
            job = replace(
                place.job(engine=engine, rows=100, seconds=0.002), out=f"{server.bucket}/run"
            )
            moment, log = chance.randrange(10, 60), place.folder / "driver.log"
            command = [sys.executable, str(PROGRAM), job.to_json()]
            with program(command, log, place.environment()) as process:
                await_(lambda: len(worked_on(job.seen)) >= moment, lambda: process.poll() is None)
                process.kill()
            findings.check(process.returncode == -signal.SIGKILL, f"it ended:\n{tail(log)}")
            before, again = written(job.out), job.again()
            finish(again, findings)
            findings.resumed(before, again.seen)
            settled(again, findings)
        findings.hit += server.faults()

    return act


def s3_segmented(engine: EngineName) -> Act:
    """`ipseg segment` from S3 to S3, with such faults, killed half way and started again."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        with s3_server(place.s3_port or free_port(), chance.randrange(2**31)) as server:
            local, prompts = put(place.folder)
            for image in Path(local).iterdir():
                write_whole(f"{server.bucket}/images/{image.name}", image.read_bytes())
            segment_twice(
                (f"{server.bucket}/images", prompts, f"{server.bucket}/run"),
                engine,
                signal.SIGKILL,
                (place.folder / "ipseg.log", place.environment()),
                chance,
                findings,
            )
        if findings.hit:
            findings.hit += server.faults()

    return act


class _Server:
    """A server that ran, and what it did wrong."""

    bucket = "s3://chaos"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.counters: dict[str, dict[str, int]] = {}

    def stop(self) -> None:
        """Ends it, and asks what it has done."""
        self._process.terminate()
        self.counters = json.loads(self._process.stdout.read())

    def faults(self) -> list[str]:
        """Each fault."""
        return [f"S3 {kind}" for kind, n in self.counters["injected"].items() for _ in range(n)]


@contextmanager
def s3_server(port: int, seed: int) -> Iterator[_Server]:
    """The server of tests/s3, as a program of its own, and this process its client."""
    command = [sys.executable, str(SERVER), "--bucket", "chaos", "--port", str(port)]
    command += ["--fault-rate", str(FAULT_RATE), "--fault-seed", str(seed)]
    with (
        patch.dict(os.environ, s3_environment(port)),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
    ):
        server = _Server(process)
        S3FileSystem.clear_instance_cache()
        try:
            assert process.stdout.readline().strip(), "the S3 server did not start"
            yield server
        finally:
            S3FileSystem.clear_instance_cache()
            server.stop()


def s3_environment(port: int) -> dict[str, str]:
    """What clients of that server must have in their environment."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
