import signal
import subprocess
import sys

import pytest

# Python drops what is raised in a callback of the garbage collector, here twice in a row.
COLLECTING = """
import gc, signal, sys, time
from jobs.signals import stopped_in_order

seen = []

def collecting(phase, info):
    if len(seen) < 2:
        seen.append(phase)
        if len(seen) == 1:
            signal.raise_signal({number})
        time.sleep(0.2)

with stopped_in_order():
    gc.callbacks.append(collecting)
    gc.collect()
    print("goes on", flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_garbage_collector_drops_still_ends_the_process(number):
    words = [sys.executable, "-c", COLLECTING.format(number=int(number))]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode == 128 + number, done.stderr
    assert "goes on where it was" in done.stderr
    assert "Traceback" not in done.stderr
