"""The Ray session of this process: joined, or started for a run and ended after it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's C++ parts print errors that are none to the user's terminal (ray-project/ray#53727). Whoever
# looks into Ray itself sets this to "info".
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")

import psutil
import ray

log = logging.getLogger("ipseg")

# Ray guards a session it starts with a token and says so each time; nobody has to act on it.
_NOTICE = "ray._private.authentication.authentication_token_setup"

# Processes of a Ray of our own that would ask a cloud for machines, and send the workers' output to
# this terminal. They cost a second of computing at the start, and one of waiting at the end.
_UNUSED = ("ray/autoscaler/_private/monitor.py", "ray/_private/log_monitor.py")

_ending: threading.Thread | None = None  # of a session that was started here
_starting = False  # Ray, here and now


def _leave_group() -> None:
    """Gives each process of Ray a group of its own, called in it before its program starts.

    Ctrl-C in a terminal, and whoever else signals all of this program's group (GNU timeout does),
    would end Ray while rows that are done are still to be written.
    """
    if _starting:
        os.setpgid(0, 0)


os.register_at_fork(after_in_child=_leave_group)


def session_is_there() -> bool:
    """Whether Ray need not be started: RAY_ADDRESS names a session, or this process has one."""
    _await_end()
    return bool(os.environ.get("RAY_ADDRESS")) or ray.is_initialized()


def start_session() -> bool:
    """Starts Ray, or joins the session that RAY_ADDRESS names; False if this process has one.

    A cluster that happens to run on this machine is left alone unless it is named.
    """
    _await_end()
    if ray.is_initialized():
        return False
    logging.getLogger(_NOTICE).setLevel(logging.ERROR)
    address = os.environ.get("RAY_ADDRESS") or "local"
    log.info("starting Ray on this machine" if address == "local" else f"joining Ray: {address}")
    with _own_sigterm_handler(), _without_native_stderr(), _own_groups():
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )
    if address == "local":
        _end_unused()
    return True


def end_session(*, at_once: bool) -> None:
    """Ends or leaves the session, which takes half a second.

    Args:
        at_once: wait for it; otherwise the process goes on beside it, and waits at its own end.
    """
    global _ending  # noqa: PLW0603  (a process has one session)
    _ending = threading.Thread(target=ray.shutdown, name="end of Ray")
    _ending.start()
    if at_once:
        _await_end()


def _end_unused() -> None:
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # another one, which has ended meanwhile
            if any(part.endswith(_UNUSED) for part in child.cmdline()):
                child.kill()


def _await_end() -> None:
    if _ending is not None:
        _ending.join()


@contextmanager
def _own_sigterm_handler() -> Iterator[None]:
    """Keeps the program's own SIGTERM handler, where it has one: Ray puts its own in its place."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    ours = main and callable(before)
    try:
        yield
    except SystemExit as error:
        if ours and type(error) is SystemExit:  # Ray's answer to a SIGTERM that has come meanwhile
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _own_groups() -> Iterator[None]:
    """Has what is started meanwhile leave this process's group."""
    global _starting  # noqa: PLW0603  (a process has one session)
    _starting = True
    try:
        yield
    finally:
        _starting = False


@contextmanager
def _without_native_stderr() -> Iterator[None]:
    """Keeps what C++ prints off the terminal: Ray says there which log level it was given."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
