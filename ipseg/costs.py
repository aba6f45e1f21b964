"""What steps cost, apart from each other: seconds, images that were encoded, memory.

Where several chains run side by side, one of them encodes an image and the others find it done.
Each is charged with it all the same, so that the costs of a chain are those it has alone.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")
Key = tuple[str, tuple[str, ...]]  # name of a step, labels of its chains; () for all chains

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """What a step has cost so far.

    Attributes:
        rows: that it was given.
        seconds: of one worker, without steps that it runs itself.
        encoded: images that networks (or what stands for one) encoded for it.
        working: the most bytes that it worked with at a time, beside its networks; 0 where the
            system does not say, and for steps of all chains.
        networks: name of each network that it uses -> bytes of its weights.
    """

    rows: int = 0
    seconds: float = 0.0
    encoded: int = 0
    working: int = 0
    networks: dict[str, int] = field(default_factory=dict)

    def add(self, other: Cost) -> None:
        """Takes in what the same step cost elsewhere."""
        self.rows += other.rows
        self.seconds += other.seconds
        self.encoded += other.encoded
        self.working = max(self.working, other.working)
        self.networks |= other.networks


@dataclass
class _Open:
    """A step that is being run."""

    labels: tuple[str, ...]
    within: float = 0.0  # seconds of steps that it runs itself
    peak: _Peak | None = None
    found: float = 0.0  # seconds of what others have computed for it
    lent: int = 0  # the most bytes that others have worked with for it
    encoded: int = 0


class _Ledger(threading.local):
    """Of one thread."""

    def __init__(self) -> None:
        self.spent: dict[Key, Cost] = {}
        self.open: list[_Open] = []
        # (chain, what remembers a batch) -> the batch it was asked for last.
        self.asked: dict[tuple[str | None, int], object] = {}
        self.weights: dict[str, int] = {}
        self.seen: set[Key] = set()


_ledger = _Ledger()


@contextmanager
def charged(
    step: str, labels: tuple[str, ...], rows: int, networks: Sequence[Any] = ()
) -> Iterator[None]:
    """Charges a step with what happens inside.

    Args:
        step: its name.
        labels: of the chains it belongs to; () for all.
        rows: it is given.
        networks: the parts that it uses.
    """
    # In other runs somebody else may follow the process's peak, which is set back here.
    peak = _Peak(fresh=(step, labels) not in _ledger.seen) if labels else None
    mine = _Open(labels, peak=peak)
    _ledger.open.append(mine)
    _ledger.seen.add((step, labels))
    started = time.perf_counter()
    try:
        yield
    finally:
        _wait_for_gpu()
        taken = time.perf_counter() - started
        _ledger.open.pop()
        if _ledger.open:
            _ledger.open[-1].within += taken
        # What the steps within it need is theirs.
        weights = {} if mine.within else {_name(part): _weights(part) for part in networks}
        working = 0 if mine.within or peak is None else max(peak.bytes(), mine.lent)
        cost = Cost(rows, taken - mine.within + mine.found, mine.encoded, working, weights)
        _ledger.spent.setdefault((step, labels), Cost()).add(cost)


def measured(encode: Callable[[], Result]) -> tuple[Result, float, int]:
    """The result, the seconds it took, and the most bytes it worked with (as `Cost.working`)."""
    peak = None
    if _ledger.open and _ledger.open[-1].peak is not None:
        _ledger.open[-1].peak.keep()  # before it is set back
        peak = _Peak(fresh=False)
    started = time.perf_counter()
    result = encode()
    return result, time.perf_counter() - started, 0 if peak is None else peak.bytes()


def note_encoded(
    memory: object, asked: object, images: int, found: float = 0.0, lent: int = 0
) -> None:
    """Charges the step that is being run with images that it had encoded.

    Args:
        memory: what remembers the last batch.
        asked: identity of the batch.
        images: in it.
        found: seconds that somebody else had spent on it before; 0 if this step just did.
        lent: the most bytes that it took them.
    """
    if not _ledger.open:
        return
    mine, place = _ledger.open[-1], id(memory)
    known = (_ledger.asked.get((label, place)) for label in (None, *mine.labels))
    if asked not in known:
        mine.encoded += images
        mine.found += found
        mine.lent = max(mine.lent, lent)
    for label in mine.labels or (None,):
        _ledger.asked[label, place] = asked


def drain() -> dict[Key, Cost]:
    """What this thread has charged since the last call."""
    spent, _ledger.spent = _ledger.spent, {}
    return spent


def _weights(part: object) -> int:
    """Bytes of the tensors of all networks that a part holds; counted once."""
    torch, name = sys.modules.get("torch"), _name(part)
    if torch is not None and not _ledger.weights.get(name):
        modules = [each for each in vars(part).values() if isinstance(each, torch.nn.Module)]
        tensors = (t for each in modules for t in (*each.parameters(), *each.buffers()))
        _ledger.weights[name] = sum(t.numel() * t.element_size() for t in tensors)
    return _ledger.weights.get(name, 0)


def _name(part: Any) -> str:  # noqa: ANN401
    return f"{type(part).__name__} {getattr(part, 'weights', '')}".strip()


def _wait_for_gpu() -> None:
    """Work is handed to a GPU and goes on there; it belongs to the step that handed it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


class _Peak:
    """The most memory that is taken, beyond what was taken at the beginning: of GPU, or process."""

    def __init__(self, *, fresh: bool) -> None:
        """Begins; `fresh` gives back what the process has freed but kept, which takes time."""
        torch = sys.modules.get("torch")
        self._kept = 0  # bytes at most before the peak was set back
        self._cuda = torch.cuda if torch is not None and torch.cuda.is_initialized() else None
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()
            self._before = self._cuda.memory_allocated()
            return
        self._before = -1
        if fresh:
            with suppress(OSError, AttributeError):  # another C library than glibc
                ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):  # another system than Linux, or one that does not allow it
            _RESET.write_text("5")  # sets the peak back to what is taken now
            self._before = _in_status("VmRSS")

    def bytes(self) -> int:
        """0 where the system does not say."""
        if self._cuda is not None:
            return max(self._kept, int(self._cuda.max_memory_allocated()) - self._before)
        return 0 if self._before < 0 else max(self._kept, _in_status("VmHWM") - self._before)

    def keep(self) -> None:
        """Somebody else is about to follow a part of the time."""
        self._kept = self.bytes()


def _in_status(name: str) -> int:
    """Bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
