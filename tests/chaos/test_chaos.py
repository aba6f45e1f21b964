"""The chaos suite, short form: one trial of most kinds. `make chaos` is the long one.

Rows that end their worker have a test of their own: tests/pipeline/test_poison.py.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from books import Findings, undisturbed
from driver import Job
from faults import KINDS
from trial import Place, run_trial

from pipeline.parts import part_files, write_part
from pipeline.record import FailureBudget, RunRecord

SEED = 1
pytestmark = pytest.mark.timeout(300)  # programs are started, and Ray waits for the dead
ON_RAY = ("worker killed", "worker killed in setup", "driver SIGKILL (ray)")
LOCAL = (
    "driver SIGTERM (local)",
    "ipseg SIGTERM (local)",
    "disk full (local)",
    "quota reached (local)",
    "S3 5 % (local)",
    "corrupt images (local)",
)


@pytest.mark.parametrize("kind", ON_RAY)
def test_started_again_it_ends_as_if_nothing_had_happened(kind, tmp_path, ray_session):
    import ray

    address = ray.get_runtime_context().gcs_address
    report = run_trial(KINDS[kind], SEED, Place(tmp_path, address))
    assert not report.findings.wrong, str(report)


@pytest.mark.parametrize("kind", LOCAL)
def test_so_it_does_without_ray(kind, tmp_path):
    report = run_trial(KINDS[kind], SEED, Place(tmp_path))
    assert not report.findings.wrong, str(report)


def test_a_lost_machine_costs_no_row():
    program = Path(__file__).with_name("run.py")
    command = [sys.executable, str(program), "--only", "machine killed", "--trials", "1"]
    ended = subprocess.run([*command, "--seed", "4"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 trials, 1 faults, rows lost 0, rows twice 0" in ended.stdout


def test_a_part_that_is_written_again_after_its_shard_was_finished_counts_once():
    record = RunRecord(FailureBudget())
    assert record.part_written("a", "part-1", {"ok": 8}) is None
    assert record.shard_read("a", 8, {}, "print") == (8, "print")
    record.shard_finished("a")
    assert record.part_written("a", "part-1", {"ok": 8}) is None
    assert record.books() == {"read": 8, "counts": {"ok": 8}, "before": 0}


@pytest.fixture
def finished(tmp_path):
    job = Job(str(tmp_path / "run"), str(tmp_path / "seen"), 40, "local", seconds=0.0)
    job.do()
    return job


def audit(job):
    findings = Findings()
    findings.audit(job.out, undisturbed(job.rows))
    return findings


def test_the_audit_has_nothing_to_say_about_a_whole_run(finished):
    assert audit(finished) == Findings()


def test_the_audit_sees_lost_rows(finished):
    part = Path(part_files(finished.out)[0])
    rows = pq.read_metadata(part).num_rows
    part.unlink()
    assert audit(finished).lost == rows
    assert audit(finished).wrong


def test_the_audit_sees_rows_that_stand_there_twice(finished):
    part = max(part_files(finished.out), key=lambda part: pq.read_metadata(part).num_rows)
    table = pq.read_table(part, partitioning=None).slice(0, 2)
    write_part(finished.out, Path(part).parent.name.partition("=")[2], table)
    assert audit(finished).twice == 2
    assert audit(finished).wrong


def test_the_audit_sees_changed_rows(finished):
    part = part_files(finished.out)[0]
    table = pq.read_table(part, partitioning=None)
    rows = [{**row, "width": 1} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), part)
    assert "other contents" in audit(finished).wrong[0]


def test_the_audit_sees_what_was_done_again(finished):
    findings = Findings()
    findings.resumed({"00003.jpg", "not seen"}, finished.seen)
    assert findings.wrong == ["1 rows were written and done again: ['00003.jpg']"]
