"""One run at a time in one run folder: a file that says who writes there, kept fresh while it does.

Two runs at once would each do what the other has not written yet, and every such row would be
there twice.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from types import TracebackType

from ipseg.errors import OutputError
from ipseg.storage.files import read_bytes, remove, write_whole

log = logging.getLogger("ipseg")

REFRESH_SECONDS = 10.0
STALE_SECONDS = 45.0
FILE = "lease.json"


class Lease:
    """Held while the body of a `with` runs.

    A lease whose process is gone (same machine) is taken over at once; one of another machine when
    it has not been refreshed for a while.
    """

    def __init__(self, out: str, run_id: str) -> None:
        self._url = f"{out}/.{FILE}"
        self._run_id = run_id
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Takes the lease.

        Raises:
            OutputError: another run is writing there.
        """
        holder = self._holder()
        if holder is not None and holder["run_id"] != self._run_id:
            self._wait_until_stale(holder)
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives it back."""
        self._released.set()
        self._thread.join()
        holder = self._holder()
        if holder is not None and holder["run_id"] == self._run_id:
            remove(self._url)

    def _holder(self) -> dict[str, str] | None:
        try:
            holder: dict[str, str] = json.loads(read_bytes(self._url))
        except (FileNotFoundError, ValueError):
            return None
        return holder

    def _wait_until_stale(self, holder: dict[str, str]) -> None:
        if holder["host"] == socket.gethostname():
            if _is_alive(int(holder["pid"])):
                raise self._refusal(holder)
            return
        log.info("waiting to see whether the run on %s is still alive", holder["host"])
        deadline = time.monotonic() + STALE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(REFRESH_SECONDS / 5)
            now = self._holder()
            if now is None:
                return
            if now["refreshed"] != holder["refreshed"]:
                raise self._refusal(holder)

    def _refusal(self, holder: dict[str, str]) -> OutputError:
        return OutputError(
            f"another run (process {holder['pid']} on {holder['host']}) is writing to "
            f"{self._url.rpartition('/')[0]}; wait for it, stop it, or choose another --out"
        )

    def _write(self) -> None:
        lease = {
            "run_id": self._run_id,
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "refreshed": str(time.time()),
        }
        write_whole(self._url, json.dumps(lease).encode())

    def _keep_fresh(self) -> None:
        while not self._released.wait(REFRESH_SECONDS):
            try:
                self._write()
            except OSError as error:  # the run itself will say so when it matters
                log.warning("cannot refresh %s: %s", self._url, error)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()  # a process that died in the middle of a run and began again
