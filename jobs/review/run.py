"""Starts the server of the review page, and ends it in order."""

from __future__ import annotations

import getpass
import logging
import socket

import typer
import uvicorn

from ipseg.errors import ConfigError, OutputError
from jobs.review.guard import Door
from jobs.review.index import read_index
from jobs.review.offers import middles
from jobs.review.server import Server
from pipeline.export.splits import Splits

log = logging.getLogger("ipseg")

_PORT, _TRIES = 8765, 20
_PATIENCE_S = 2  # for requests under way when it ends; decisions are on disk before their answer


def serve(
    out: str,
    *,
    host: str,
    port: int | None,
    who: str | None,
    order: str,
    concept: str,
    splits: Splits | None = None,
) -> None:
    """Serves the review of a run until a signal ends it.

    Args:
        out: run folder.
        host: to listen on.
        port: to listen on; None for the usual one or the next that is free, 0 for any.
        who: name of the person; None for the user.
        order: to start with.
        concept: to start with, "" for all.
        splits: whose sides are a filter.

    Raises:
        OutputError: there is no run, or nothing in it, or the address cannot be listened on.
        ConfigError: the run has no such concept.
    """
    index = read_index(out, splits)
    if not len(index):
        raise OutputError(f"{index.out} has no objects to review")
    if concept and concept not in index.concepts:
        raise ConfigError(f"the run has no concept '{concept}'; it has {', '.join(index.concepts)}")
    start = {"order": order, "concept": concept}
    server = Server(index, who or getpass.getuser(), middles(index), start)
    listening = _listen(host, port)
    door = Door(host, listening.getsockname()[1])
    if not door.loopback:
        log.warning(
            "the page is open to the network: whoever has its address sees the images and decides, "
            "and the connection is not encrypted"
        )
    typer.echo(door.address)
    log.info("%s objects in %s images; Ctrl-C ends the review", len(index), len(index.keys))
    settings = uvicorn.Config(
        server.app(door),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_S,
    )
    uvicorn.Server(settings).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    wanted = range(_PORT, _PORT + _TRIES) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for each in wanted:
        listening = socket.socket(family, socket.SOCK_STREAM)
        # A review that was killed a moment ago must not keep its successor from the same address.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, each))
            listening.listen()
        except OSError as error:
            listening.close()
            why = error.strerror or error
            if each == wanted[-1] or port is not None:
                raise OutputError(
                    f"cannot listen on {host}, port {each}: {why}; choose another --port"
                ) from error
        else:
            return listening
    raise AssertionError("there is at least one port to try")
