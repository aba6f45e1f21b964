"""Several processes want one lease at the same moment: one gets it, and the others say why not."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from uuid import uuid4

import pytest

from ipseg.storage.creation import create
from ipseg.storage.files import filesystem, read_bytes, write_whole

PROCESSES = 4

# Begins with each line it reads; its answer is "held" or the reason why not.
PROGRAM = """
import sys
from uuid import uuid4
from ipseg.errors import OutputError
from ipseg.storage.files import exists
from pipeline.runfolder import lease

lease.REFRESH_SECONDS = 0.5
for out in map(str.strip, sys.stdin):
    if not out.endswith("warm"):
        held = lease.Lease(out, uuid4().hex)
        try:
            held.__enter__()
        except OutputError as error:
            print(error, flush=True)
        else:
            print("held", flush=True)
            sys.stdin.readline()
            held.__exit__(None, None, None)
    else:
        print(exists(out), flush=True)
"""


@pytest.fixture(scope="module")
def rivals(serving):
    """Function: (folder, rounds, prepare) -> the answers of all processes in each round."""
    with ExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            processes.append(
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", PROGRAM],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        bufsize=1,
                    )
                )
            )

        def say(line, to):
            for process in to:
                process.stdin.write(f"{line}\n")
            return [process.stdout.readline().strip() for process in to]

        def run(root, rounds, prepare=lambda out: None):
            say(f"{root}/warm", processes)  # imports and connections
            answers = []
            for number in range(rounds):
                out = f"{root}/{number}"
                prepare(out)
                said = say(out, processes)
                answers.append(said)
                for process, answer in zip(processes, said, strict=True):
                    if answer == "held":
                        process.stdin.write("give it back\n")
            return answers

        yield run
        for process in processes:
            process.stdin.close()


def stale(out):
    """A lease whose process is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    lease = {"run_id": "gone", "host": socket.gethostname(), "pid": gone.pid, "refreshed": 0.0}
    write_whole(f"{out}/.lease/00000003.json", json.dumps({**lease, "released": False}).encode())


def check(answers):
    for said in answers:
        assert sorted(said)[-1] == "held", said
        assert all("another run (process" in answer for answer in sorted(said)[:-1]), said


@pytest.mark.parametrize("prepare", [lambda out: None, stale], ids=["new", "stale"])
def test_on_a_disk(tmp_path, rivals, prepare):
    check(rivals(tmp_path, 15, prepare))


@pytest.mark.parametrize("prepare", [lambda out: None, stale], ids=["new", "stale"])
def test_on_s3(bucket, rivals, prepare):
    check(rivals(bucket, 4, prepare))


def test_on_s3_that_fails_now_and_then(server, bucket, program, rivals):
    server.inject(
        program.Faults(0.2, seed=3, kinds=("throttle", "reset", "lost"), methods=("PUT",))
    )
    check(rivals(bucket, 3))
    assert server.injected["lost"] > 0


@pytest.mark.parametrize("conditions", ["ignored", "refused"])
def test_on_a_store_that_takes_no_conditions(server, bucket, program, rivals, conditions):
    server.inject(program.Faults(conditions=conditions))
    check(rivals(bucket, 1))


def test_a_file_is_created_once_on_any_filesystem(bucket, tmp_path):
    memory = f"memory://{uuid4().hex}"
    for root in (str(tmp_path), f"file://{tmp_path}/url", bucket, memory):
        assert create(f"{root}/deep/file", b"first")
        assert not create(f"{root}/deep/file", b"second")
        assert read_bytes(f"{root}/deep/file") == b"first"
    fs, path = filesystem(memory)
    fs.rm(path, recursive=True)
