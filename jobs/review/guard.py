"""Who may talk to the page: whoever has the token, from the page itself, by a name of this host."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 16_000_000  # of a request's body
_HEADERS = {
    # `blob:` holds nothing but what the page itself has made.
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Door:
    """Where the page is served, and the secret in its address.

    Attributes:
        host: that the server listens on.
        port: of it.
        token: random; whoever has it may read and decide.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def loopback(self) -> bool:
        """Whether nothing but this machine reaches it."""
        return self.host in _LOOPBACK

    @property
    def address(self) -> str:
        """To be opened in a browser."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """Its name; cookies of one host know no ports, and several reviews may be open."""
        return f"ipseg-review-{self.port}"

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server.

        Another name that a page elsewhere has had point here (DNS rebinding) is none of its own.
        """
        name, _, port = host.rpartition(":")
        name = name.strip("[]").lower()
        if port != str(self.port):
            return False
        if self.loopback:
            return name in _LOOPBACK
        return name in (self.host, socket.gethostname().lower()) or _is_number(name)


class Guard:
    """Lets through what comes by a known host name, with the token, and posts of the page alone.

    Args:
        app: what is behind it.
        door: what is known.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or refuses one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        request = Request(scope)
        answer = self._refusal(request)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        door, host = self._door, request.headers.get("host", "")
        if not door.knows(host):
            return _refuse("this host name is not the review's")
        given = request.query_params.get("token")
        if given is not None and request.method == "GET" and request.url.path == "/":
            return self._enter(given)
        if not _same(request.cookies.get(door.cookie, ""), door.token):
            return _refuse("open the address that `ipseg review` printed; it has a token in it")
        return None if request.method in ("GET", "HEAD") else _refuse_post(request, host)

    def _enter(self, token: str) -> Response:
        """The page with a cookie in place of the token, which leaves the address."""
        if not _same(token, self._door.token):
            return _refuse("the token is wrong: open the address that `ipseg review` printed")
        entered = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        entered.set_cookie(self._door.cookie, self._door.token, httponly=True, samesite="strict")
        return entered


def _refuse_post(request: Request, host: str) -> Response | None:
    if request.headers.get("origin") != f"http://{host}":
        return _refuse("this comes from another page")
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MOST_BYTES:
        return PlainTextResponse("too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return None


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _refuse(why: str) -> Response:
    return PlainTextResponse(f"ipseg review: {why}\n", HTTPStatus.FORBIDDEN)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
