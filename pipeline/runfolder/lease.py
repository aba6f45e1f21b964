"""One run at a time in one run folder: a file that says who writes there, kept fresh while it does.

Two runs at once would each do what the other has not written yet, and every such row would be
there twice.

Each holder has a file of its own, `.lease/00000001.json` and on; the highest number counts. To take
the lease, new or from a run that is gone, is to create the next number, which only one can do. The
highest file stays when the lease is given back: if numbers could come again, a process that has
been looking at an old one for long would take what another holds by now.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from ipseg.errors import OutputError
from ipseg.storage.creation import create
from ipseg.storage.files import read_bytes, remove, write_whole
from ipseg.storage.walk import list_files

log = logging.getLogger("ipseg")

REFRESH_SECONDS = 10.0
STALE_SECONDS = 45.0

_held_here: set[str] = set()  # ids of the runs of this process


@dataclass(frozen=True)
class Holder:
    """What the file of a lease says.

    Attributes:
        run_id: of the run that holds it.
        host: machine that it runs on.
        pid: its process there.
        refreshed: when it said last that it is alive, in seconds since 1970.
        released: whether it has given the lease back.
    """

    run_id: str
    host: str
    pid: int
    refreshed: float
    released: bool


_HOLDER = TypeAdapter(Holder)


class Lease:
    """Held while the body of a `with` runs.

    A lease whose process is gone (same machine) is taken over at once; one of another machine when
    it has not been refreshed for a while.
    """

    def __init__(self, out: str, run_id: str) -> None:
        self._out = out.rstrip("/")
        self._run_id = run_id
        self._number = 0
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Takes the lease.

        Raises:
            OutputError: another run is writing there.
        """
        _held_here.add(self._run_id)
        try:
            while not self._take():
                pass  # somebody else was quicker; what is there now is looked at
        except BaseException:
            _held_here.discard(self._run_id)
            raise
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives it back."""
        self._released.set()
        self._thread.join()
        _held_here.discard(self._run_id)
        try:
            write_whole(_file(self._out, self._number), self._content(released=True))
        except OSError as problem:  # a full disk; without the mark the lease goes stale
            log.warning("cannot give the lease of %s back: %s", self._out, problem)

    def _take(self) -> bool:
        newest = max(_numbers(self._out), default=0)
        return (not newest or self._is_free(newest)) and self._claim(newest + 1)

    def _claim(self, number: int) -> bool:
        """Whether the lease is ours with this number, which was free a moment ago."""
        self._number = number
        if not create(_file(self._out, number), self._content()):
            return False
        numbers = _numbers(self._out)
        if numbers[-1] != number:  # used and cleared away since it was looked at
            remove(_file(self._out, number))
            return False
        for earlier in numbers[:-1]:
            try:
                remove(_file(self._out, earlier))
            except FileNotFoundError:  # its holder is alive after all, or a late one was here too
                continue
        return True

    def _is_free(self, number: int) -> bool:
        """Whether nobody holds a number; False where something has changed while it was watched."""
        seen = _content(self._out, number)
        holder = _parse(seen)
        if holder is not None and holder.released:
            return True
        if holder is not None and holder.host == socket.gethostname():
            if _is_alive(holder):
                raise self._refusal(holder)
            return True
        log.info("waiting to see whether the run that holds %s is alive", self._out)
        deadline = time.monotonic() + STALE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(REFRESH_SECONDS / 5)
            now = _content(self._out, number)
            if now != seen:
                fresh = _parse(now)
                if holder is None or fresh is None or fresh.released:
                    return False
                raise self._refusal(fresh)
        return True

    def _refusal(self, holder: Holder) -> OutputError:
        return OutputError(
            f"another run (process {holder.pid} on {holder.host}) is writing to "
            f"{self._out}; wait for it, stop it, or choose another --out"
        )

    def _content(self, *, released: bool = False) -> bytes:
        holder = Holder(self._run_id, socket.gethostname(), os.getpid(), time.time(), released)
        return _HOLDER.dump_json(holder)

    def _keep_fresh(self) -> None:
        while not self._released.wait(REFRESH_SECONDS):
            try:
                if max(_numbers(self._out), default=0) > self._number:
                    log.error(
                        "another run has taken %s over, because this one could not say for %.0f s "
                        "that it is alive; stop one of them",
                        self._out,
                        STALE_SECONDS,
                    )
                    return
                write_whole(_file(self._out, self._number), self._content())
            except OSError as error:  # the run itself will say so when it matters
                log.warning("cannot refresh the lease of %s: %s", self._out, error)


def last_refreshed(out: str) -> float | None:
    """When the run that holds the lease said last that it is alive.

    Returns:
        Seconds since 1970; 0 if the last holder has given it back, None if there was none.

    Raises:
        OSError: the lease cannot be read.
        ValueError: it is damaged.
    """
    content = None
    while content is None:  # gone where a new holder has cleared it away since it was listed
        numbers = _numbers(out)
        if not numbers:
            return None
        content = _content(out, numbers[-1])
    holder = _parse(content)
    if holder is None:
        raise ValueError(f"the lease of {out} is damaged")
    return 0.0 if holder.released else holder.refreshed


def _file(out: str, number: int) -> str:
    return f"{out}/.lease/{number:08d}.json"


def _numbers(out: str) -> list[int]:
    names = (file.rpartition("/")[2] for file in list_files(f"{out}/.lease", "*.json"))
    stems = (name.removesuffix(".json") for name in names)
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _content(out: str, number: int) -> bytes | None:
    try:
        return read_bytes(_file(out, number))
    except FileNotFoundError:
        return None


def _parse(content: bytes | None) -> Holder | None:
    """A lease; None if it is gone, half written or damaged."""
    try:
        return _HOLDER.validate_json(content or b"")
    except ValidationError:
        return None


def _is_alive(holder: Holder) -> bool:
    if holder.pid == os.getpid():  # or a process that had the same number has died
        return holder.run_id in _held_here
    try:
        os.kill(holder.pid, 0)
    except PermissionError:  # of another user
        return True
    except ProcessLookupError:
        return False
    return True
