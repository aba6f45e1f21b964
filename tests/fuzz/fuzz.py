"""Damaged inputs, long form: `make fuzz`.

    python tests/fuzz/fuzz.py --seed 7 --kind parquet --trials 1000

Every input is valid at first, then damaged, then read by the code that reads those of users, in a
process that may not allocate more than ten times the input and a gigabyte. Exit code 1 if reading
raised anything but its own errors, lost a row, asked for more memory, or killed the process.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from reading import EXTRA_BYTES, KINDS, run_trial

TRIALS = 20_000
SECONDS = 600
_AT_ONCE = 50  # trials handed to a process together
_LARGEST = 2**20  # bytes of an input


def main() -> None:
    """Runs the trials and prints what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of all kinds together")
    given = parser.parse_args()
    seed = int(time.time()) % 1_000_000 if given.seed is None else given.seed
    kinds = given.kind or KINDS
    each = -(-given.trials // len(kinds))
    _say(f"seed {seed}, {each} inputs each of: {', '.join(kinds)}")
    started = time.monotonic()
    groups = [
        (kind, range(seed + first, seed + min(first + _AT_ONCE, each)))
        for first in range(0, each, _AT_ONCE)
        for kind in kinds
    ]
    outcomes, wrong = run_groups(groups, started + SECONDS)
    seconds = time.monotonic() - started
    done = sum(sum(counts.values()) for counts in outcomes.values())
    for kind, counts in outcomes.items():
        _say(f"{kind:12} " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    _say(f"{done} of {each * len(kinds)} inputs in {seconds:.0f} s, {len(wrong)} wrong")
    for line in wrong[:20]:
        _say(f"wrong: {line}")
    sys.exit(1 if wrong or done < each * len(kinds) else 0)


def run_groups(
    groups: list[tuple[str, range]], deadline: float
) -> tuple[dict[str, Counter[str]], list[str]]:
    """(outcomes of each kind, what went wrong); processes that die are replaced."""
    outcomes: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    while groups and time.monotonic() < deadline:
        batch, groups = groups[:200], groups[200:]
        with _pool() as pool:
            futures = [(group, pool.submit(run_group, *group)) for group in batch]
            for group, future in futures:
                try:
                    counts, failures = future.result(max(1.0, deadline - time.monotonic()))
                except BrokenProcessPool:
                    groups += _halves(group, wrong)
                    continue
                except TimeoutError:
                    pool.kill_workers()
                    return outcomes, [*wrong, f"{group[0]} {group[1]}: out of time"]
                outcomes.setdefault(group[0], Counter()).update(counts)
                wrong += failures
    return outcomes, wrong


def _halves(group: tuple[str, range], wrong: list[str]) -> list[tuple[str, range]]:
    """Smaller groups, to find the input that kills a process."""
    kind, seeds = group
    if len(seeds) == 1:
        wrong.append(f"{kind} {seeds[0]}: the process died")
        return []
    middle = len(seeds) // 2
    return [(kind, seeds[:middle]), (kind, seeds[middle:])]


def _pool() -> ProcessPoolExecutor:
    processes = os.cpu_count() or 1
    return ProcessPoolExecutor(processes, get_context("spawn"), initializer=limit_memory)


def limit_memory() -> None:
    """Ends allocations beyond ten times the largest input and a gigabyte."""
    logging.disable(logging.CRITICAL)
    limit = psutil.Process().memory_info().vms + 10 * _LARGEST + EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_group(kind: str, seeds: range) -> tuple[Counter[str], list[str]]:
    """(outcomes, what went wrong) of some trials."""
    outcomes: Counter[str] = Counter()
    wrong = []
    with TemporaryDirectory(prefix="ipseg-fuzz-") as folder:
        for seed in seeds:
            try:
                outcomes[run_trial(kind, seed, Path(folder))] += 1
            except Exception:  # noqa: BLE001  (whatever it is, it is reported)
                outcomes["wrong"] += 1
                wrong.append(f"{kind} {seed}: {traceback.format_exc(limit=-2).strip()}")
    return outcomes, wrong


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
