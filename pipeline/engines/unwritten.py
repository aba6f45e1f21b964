"""What is done and not in a part yet: written when it fills one, after a while, and at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pipeline.engines.shard_io import ShardIO

log = logging.getLogger("ipseg")

Item = TypeVar("Item")
STOP_SECONDS = 20.0  # in which a run that is stopped has to write what is done


class Unwritten(Generic[Item]):
    """Rows that are done, until they are in parts; a context that ends with all of them written.

    Whatever ends the body, an interruption too, what was added before is written. An exception may
    come between any two lines: then the same rows are written again, and their part, which is
    named after its keys, replaces itself.

    Attributes:
        done: rows added.
    """

    def __init__(
        self,
        shard_io: ShardIO,
        flush_seconds: float,
        write: Callable[[Sequence[Item]], None],
        settle: Callable[[float | None], None] = lambda seconds: None,
    ) -> None:
        """Starts nothing yet.

        Args:
            shard_io: says how many rows make a part, and where they go.
            flush_seconds: after which a row is written, whether it fills a part or not.
            write: writes items as one part, or begins to.
            settle: waits until all that `write` has begun is there, so many seconds at most.
        """
        self.done = 0
        self._io, self._flush_seconds = shard_io, flush_seconds
        self._write, self._settle = write, settle
        self._held: list[Item] = []
        self._rows = 0  # in these
        self._since = 0.0  # when the first of these was added
        self._failure: Exception | None = None
        # Reentrant: a signal may raise where this thread has it.
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._keep_time, name="flush", daemon=True)

    def add(self, item: Item, rows: int = 1) -> None:
        """Takes what is done.

        Raises:
            Exception: what `write` raises, or has raised since the last call.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._held:
                self._since = time.monotonic()
            self._held.append(item)
            self._rows += rows
            self.done += rows
            if self._rows >= self._io.part_rows:
                self._flush()

    def __enter__(self) -> Unwritten[Item]:
        """Begins to keep the time."""
        self._clock.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Writes what is left.

        Raises:
            Exception: what `write` raises, unless the body has raised already.
        """
        try:
            self._ended.set()
            self._clock.join()
            if error is None:
                self._write_rest(None)
        except BaseException as late:
            error = late
            raise
        finally:
            if error is not None:
                self._stop()

    def _write_rest(self, patience: float | None) -> None:
        if self._failure is not None:
            raise self._failure
        self._flush()
        self._settle(patience)

    def _stop(self) -> None:
        """Writes what is left of a run that has ended early, and says so."""
        held, out = self._rows, self._io.writer.out
        try:
            self._write_rest(STOP_SECONDS)
            self._io.put_in_order()
        except Exception as problem:  # noqa: BLE001  (what has ended the run is raised)
            text = (
                "stopped: %d rows of this run are done, of which the last %d may not be in %s: %s"
            )
            log.warning(text, self.done, held, out, problem)
        else:
            log.warning("stopped: the %d rows that this run has done are in %s", self.done, out)

    def _flush(self) -> None:
        try:
            if self._held:
                self._write(self._held)
        except Exception as error:
            self._failure = error
            raise
        self._held, self._rows = [], 0

    def _keep_time(self) -> None:
        while not self._ended.wait(self._patience()):
            with self._lock:
                if not self._held or self._patience():
                    continue
                try:
                    self._flush()
                except Exception:  # noqa: BLE001  (raised by the next `add`, or at the end)
                    return

    def _patience(self) -> float:
        """Seconds until a part has to be written; of a row to come where none is held."""
        with self._lock:
            waited = time.monotonic() - self._since if self._held else 0.0
        return max(0.0, self._flush_seconds - waited)
