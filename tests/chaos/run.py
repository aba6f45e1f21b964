"""The chaos suite, long form: `make chaos`.

    python tests/chaos/run.py --seed 7 --only "worker killed" --trials 3

Work is disturbed at random moments in every way we know, started again until it ends, and then
every row of every part is compared with an undisturbed run's. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
os.environ["HF_HUB_OFFLINE"] = "1"

from faults import KINDS
from storage import free_port, s3_environment
from trial import Place, Report, run_trial

_CPUS = 2
_STORE = 200 * 2**20  # bytes of shared memory for the head's objects


def main() -> None:
    """Runs the trials and prints what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument(
        "--only", action="append", metavar="KIND", help="; ".join(KINDS).replace("%", "%%")
    )
    parser.add_argument("--trials", type=int, default=None, help="of each kind; default: its own")
    given = parser.parse_args()
    seed = int(time.time()) % 1_000_000 if given.seed is None else given.seed
    kinds = [KINDS[name] for name in given.only or KINDS]
    logging.getLogger("ipseg").setLevel(
        logging.CRITICAL
    )  # what is wrong is in the reports of the trials
    _say(f"seed {seed}")
    started = time.monotonic()
    reports = []
    with (
        TemporaryDirectory(prefix="ipseg-chaos-") as folder,
        Path(os.devnull).open("w") as nowhere,  # Ray reports each process that was killed at length
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        _cluster(Path(folder)) as place,
    ):
        for kind in kinds:
            for number in range(given.trials or kind.trials):
                report = run_trial(kind, seed + number, place)
                reports.append(report)
                _say(str(report))
    _say(table(reports, time.monotonic() - started))
    wrong = [report for report in reports if report.findings.wrong]
    for report in wrong:
        _say(
            f"{report}\n    again: python {sys.argv[0]} --only '{report.kind}' --trials 1 "
            f"--seed {report.seed}"
        )
    sys.exit(1 if wrong else 0)


@contextmanager
def _cluster(folder: Path) -> Iterator[Place]:
    """A Ray cluster of one node that others can join, and this process connected to it."""
    import ray
    from ray.cluster_utils import Cluster

    port = free_port()
    os.environ.update(s3_environment(port))  # workers inherit it
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": _CPUS,
            "object_store_memory": _STORE,
            "include_dashboard": False,
            # A dead machine is noticed in 4 s, not in 15 s or more.
            "_system_config": {"health_check_period_ms": 400, "health_check_failure_threshold": 10},
        },
    )
    try:
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        yield Place(folder, cluster.address, cluster, port)
    finally:
        ray.shutdown()
        cluster.shutdown()


def table(reports: list[Report], seconds: float) -> str:
    """Trials, rows lost and rows twice by kind of fault."""
    lines = [
        f"{'fault':32} {'trials':>6} {'hits':>5} {'lost':>5} {'twice':>5} {'wrong':>5} {'s':>6}"
    ]
    for kind in dict.fromkeys(report.kind for report in reports):
        lines.append(_line(kind, [report for report in reports if report.kind == kind]))
    lines.append(_line("all", reports))
    lines.append(
        f"{len(reports)} trials, {sum(len(r.findings.hit) for r in reports)} faults, "
        f"rows lost {sum(r.findings.lost for r in reports)}, "
        f"rows twice {sum(r.findings.twice for r in reports)}, {seconds:.0f} s"
    )
    return "\n".join(lines)


def _line(name: str, reports: list[Report]) -> str:
    findings = [report.findings for report in reports]
    sums = (
        sum(len(each.hit) for each in findings),
        sum(each.lost for each in findings),
        sum(each.twice for each in findings),
        sum(bool(each.wrong) for each in findings),
    )
    numbers = " ".join(f"{number:5}" for number in sums)
    return f"{name:32} {len(reports):6} {numbers} {sum(r.seconds for r in reports):6.1f}"


def _say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
