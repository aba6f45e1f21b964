"""How much memory this process holds."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import psutil

_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; of ru_maxrss


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process.

    Attributes:
        now: bytes.
        peak: bytes, the most since the process was started.
    """

    now: int
    peak: int


def memory() -> Memory:
    """Of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return Memory(psutil.Process().memory_info().rss, peak)
