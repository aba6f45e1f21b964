"""In a process of its own: one that freed memory before takes that again and does not grow."""

import subprocess
import sys

PROGRAM = """
from pipeline.engines.memory import memory

before = memory()
taken = bytearray(64 * 2**20)
taken[::4096] = b"x" * len(taken[::4096])  # touch every page
held = memory()
del taken
after = memory()
print(held.now - before.now, after.peak - held.now, held.now - after.now)
"""


def test_memory_that_is_taken_is_seen_and_stays_the_peak():
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    grown, peak, freed = map(int, done.stdout.split())
    assert grown > 48 * 2**20
    assert peak > -(2**20)  # the system adds up pages now and then
    assert freed > 48 * 2**20
