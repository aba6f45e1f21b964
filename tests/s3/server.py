"""A real S3 server on loopback that fails on purpose: moto, served by werkzeug, with faults.

    with s3_server(Faults(rate=0.05)) as server:
        os.environ.update(server.environment())

As a program, for processes that shall outlive the one that started it:

    python tests/s3/server.py --port 0 --bucket photos --fault-rate 0.05

It prints its endpoint, then one JSON line of counters when it is ended by a signal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KINDS = ("throttle", "error", "slow", "cut", "reset", "lost")
_XML = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message></Error>"
_ERRORS = {
    "throttle": ("503 Slow Down", _XML.format("SlowDown", "Please reduce your request rate.")),
    "error": ("500 Internal Server Error", _XML.format("InternalError", "We are sorry.")),
    "gateway": ("502 Bad Gateway", "<html>a proxy that knows nothing of S3</html>"),
    "forbidden": ("403 Forbidden", _XML.format("AccessDenied", "Access Denied")),
    "unknown": ("501 Not Implemented", _XML.format("NotImplemented", "A header you provided")),
}


@dataclass(frozen=True)
class Faults:
    """What goes wrong, and how often.

    Attributes:
        rate: share of requests with a fault, 0 to 1.
        seed: of the generator that chooses.
        kinds: "throttle" (503 SlowDown), "error" (500), "gateway" (502), "forbidden" (403),
            "slow" (the body dribbles), "cut" (the body ends half way), "reset" (the connection is
            reset and nothing is done), "lost" (it is done, but the answer never comes).
        delay_s: added to a slow answer.
        methods: only these, where given.
        conditions: what becomes of "write only if there is none": "kept", or as in stores that are
            not quite S3, "ignored" or "refused" (501).
    """

    rate: float = 0.0
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    delay_s: float = 0.2
    methods: tuple[str, ...] = ()
    conditions: str = "kept"


@dataclass
class Server:
    """A server that runs.

    Attributes:
        endpoint: its URL.
        injected: faults so far, by kind.
        requests: answered or not, by method.
    """

    endpoint: str
    injected: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    faults: Faults = field(default_factory=Faults)
    _random: random.Random = field(default_factory=random.Random)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, faults: Faults) -> None:
        """From now on these faults; counters begin anew."""
        with self._lock:
            self.faults, self._random = faults, random.Random(faults.seed)  # noqa: S311
            self.injected.clear()
            self.requests.clear()

    def make_bucket(self, name: str) -> str:
        """Makes a bucket, without faults; returns its URL."""
        now = self.faults
        self.inject(Faults())
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")  # noqa: S310
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        self.inject(now)
        return f"s3://{name}"

    def environment(self) -> dict[str, str]:
        """What clients must have in their environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def choose(self, method: str) -> str | None:
        """The fault of the next request, or None."""
        with self._lock:
            self.requests[method] += 1
            faults = self.faults
            if faults.methods and method not in faults.methods:
                return None
            if self._random.random() >= faults.rate:
                return None
            kind = self._random.choice(faults.kinds)
            self.injected[kind] += 1
            return kind


@contextmanager
def s3_server(faults: Faults = Faults(), port: int = 0) -> Iterator[Server]:
    """Serves S3 on 127.0.0.1 from a thread of this process; port 0 takes a free one."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """The tests' output is not the place for every request."""

        def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
            """Closes the connection, instead of waiting for its next request."""
            self.close_connection = True

    server = Server("")
    server.inject(faults)
    app = _Faulty(DomainDispatcherApplication(create_backend_app), server)
    wsgi = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    server.endpoint = f"http://127.0.0.1:{wsgi.server_port}"
    thread = threading.Thread(target=wsgi.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        wsgi.shutdown()
        thread.join()
        wsgi.server_close()


@dataclass(frozen=True)
class _Faulty:
    """WSGI application around another one."""

    app: Callable[..., Iterable[bytes]]
    server: Server
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        kind = self.server.choose(environ["REQUEST_METHOD"])
        if kind is None:
            return self._serve(environ, start)
        if kind == "reset":
            _reset(environ["werkzeug.socket"])
        if kind in _ERRORS:
            return _fail(kind, environ, start)
        whole = b"".join(self._serve(environ, start))
        if kind == "slow":
            return _dribble(whole, self.server.faults.delay_s)
        if kind == "lost" or not whole:
            _reset(environ["werkzeug.socket"])
        return [whole[: len(whole) // 2]]

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self.app(environ, start)
        if self.server.faults.conditions == "refused":
            return _fail("unknown", environ, start)
        if self.server.faults.conditions == "ignored":
            del environ["HTTP_IF_NONE_MATCH"]
            return self.app(environ, start)
        with self._one_at_a_time:  # moto looks first and writes then, S3 does both at once
            return list(self.app(environ, start))


def _fail(kind: str, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    # Closing with something unread would reset the connection before the answer is there.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status, text = _ERRORS[kind]
    body = text.encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _dribble(whole: bytes, delay_s: float, pieces: int = 4) -> Iterator[bytes]:
    step = -(-len(whole) // pieces)
    for piece in range(pieces):
        time.sleep(delay_s / pieces)
        yield whole[piece * step : (piece + 1) * step]


def _reset(connection: socket.socket) -> None:
    """Ends the connection with RST; the server then lets go of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bucket", action="append", default=[], help="to make at the start")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of requests, 0 to 1")
    parser.add_argument("--fault-seed", type=int, default=0)
    parser.add_argument("--fault-kinds", default=",".join(KINDS))
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    faults = Faults(given.fault_rate, given.fault_seed, tuple(given.fault_kinds.split(",")))
    with s3_server(port=given.port) as server:
        for bucket in given.bucket:
            server.make_bucket(bucket)
        server.inject(faults)
        print(server.endpoint, flush=True)  # noqa: T201
        # A server whose parent is gone ends too.
        parent = os.getppid()
        while not ended.wait(1) and os.getppid() == parent:
            pass
        json.dump({"injected": server.injected, "requests": server.requests}, sys.stdout)
        print(flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
