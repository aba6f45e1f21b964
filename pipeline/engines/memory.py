"""How much memory this process holds."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")


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
    """Of this process. Where the system has no /proc, only the peak is known, and given twice."""
    if not _STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return Memory(peak, peak)
    lines = (line.partition(":") for line in _STATUS.read_text().splitlines())
    kilobytes = {name: int(value.split()[0]) for name, _, value in lines if name in _NAMES}
    return Memory(*(kilobytes[name] * 1024 for name in _NAMES))


_NAMES = ("VmRSS", "VmHWM")
