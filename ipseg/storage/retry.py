"""Faults of storage that go away by themselves, and how long we wait for that.

One layer decides: `ipseg.storage.files` switches the long waits of the drivers off. A request that
fails for good costs a few seconds, not minutes.
"""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from ipseg.errors import ConfigError, StorageError

ATTEMPTS = 5  # IPSEG_RETRY_ATTEMPTS in the environment replaces it
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
PATIENCE_S = 30.0  # no new attempt is begun later than this

log = logging.getLogger("ipseg")

_Result = TypeVar("_Result")

_NEVER = (
    *(FileNotFoundError, FileExistsError, PermissionError),
    *(IsADirectoryError, NotADirectoryError),
)
_ERRNOS = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EREMOTEIO, errno.ESTALE),
        *(errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.EPIPE),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    }
)
_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
# What S3 says with a status that would mean the caller's fault.
_CODES = frozenset({"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"})
# By name, because the drivers are optional and are imported only when a URL asks for them.
_NAMES = frozenset(
    {
        *("aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError"),
        *("botocore.HTTPClientError", "botocore.ConnectionError", "botocore.IncompleteReadError"),
        *("botocore.ResponseParserError", "botocore.FlexibleChecksumError"),
        *("urllib3.IncompleteRead", "urllib3.ProtocolError", "http.IncompleteRead"),
        *("requests.ConnectionError", "requests.ChunkedEncodingError", "requests.Timeout"),
        *("gcsfs.ChecksumError", "google.TransportError"),
        *("azure.ServiceRequestError", "azure.ServiceResponseError"),
    }
)
_HOPELESS = frozenset(
    {
        "s3fs.FileExpired",  # looks like EBUSY: the object was replaced while it was read
        *("botocore.SSLError", "aiohttp.ClientConnectorCertificateError"),
    }
)
_NO_CREDENTIALS = frozenset(
    {
        *("botocore.NoCredentialsError", "botocore.PartialCredentialsError"),
        *("botocore.ProfileNotFound", "google.DefaultCredentialsError"),
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed a moment later.

    True for lost, refused and timed out connections, bodies that were cut off, throttling and
    faults of a server (408, 429, 500, 502, 503, 504, and 409, two writers at once). False for what
    stays as it is: a missing file, a lacking permission, a full or read-only disk, a bad request.
    """
    names = _names(error)
    if isinstance(error, _NEVER) or names & _HOPELESS:
        return False
    if isinstance(error, TimeoutError | ConnectionError) or names & _NAMES:
        return True
    status, code = _answer(error)
    if status is not None and 400 <= status < 500:  # s3fs has EIO for each that it does not know
        return code in _CODES or status in _STATUSES
    return status in _STATUSES or (isinstance(error, OSError) and error.errno in _ERRNOS)


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error of a driver; None where no service has answered."""
    return _answer(error)[0]


def with_retry(address: str, call: Callable[[], _Result]) -> _Result:
    """The result of a call that may be made again, waiting longer and longer between attempts.

    Args:
        address: what the call is about, for the log; secrets in it are not shown.
        call: has the same effect however often it is made.

    Raises:
        OSError: what the last attempt raised. A driver's error that is none becomes a
            `ConnectionError` with the original as its cause.
        StorageError: there are no credentials for this address.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        kind, wait = type(error).__name__, state.upcoming_sleep
        # The error's text may hold a signed URL, so only its type is shown.
        log.debug("attempt %d at %s: %s", state.attempt_number, shown(address), kind)
        log.debug("trying %s again in %.1f s", shown(address), wait)

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(_attempts()) | stop_after_delay(PATIENCE_S),
        # Uniform below a bound that doubles: workers that were throttled together come back apart.
        wait=wait_random_exponential(multiplier=2 * FIRST_WAIT_S, max=LONGEST_WAIT_S),
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(call)
    except OSError:
        raise
    except Exception as error:
        if _names(error) & _NO_CREDENTIALS:
            raise StorageError(
                f"no credentials for {shown(address)} ({error}); set them in the environment, as "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3"
            ) from error
        if not is_transient(error):
            raise
        raise ConnectionError(f"{shown(address)}: {type(error).__name__}") from error


def shown(address: str) -> str:
    """An address without the secrets it may carry: user and password, query of a signed URL."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    query = "..." if "=" in parts.query else parts.query
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


class RetriedFile(io.RawIOBase):
    """A seekable file of a remote filesystem; a read that fails is made again at its place.

    fsspec fetches by ranges, so a body that is cut off half way is asked for again from the start
    of its block, not from the start of the file.
    """

    def __init__(self, address: str, inner: Any) -> None:  # noqa: ANN401  (fsspec has no types)
        super().__init__()
        self._address, self._inner = address, inner

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes from where the file stands; all that is left for -1."""
        place = self._inner.tell()

        def call() -> bytes:
            self._inner.seek(place)
            data: bytes = self._inner.read(-1 if size is None else size)
            return data

        return with_retry(self._address, call)

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (any writable buffer)
        """Fills a buffer; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a place; returns it."""
        place: int = self._inner.seek(offset, whence)
        return place

    def tell(self) -> int:
        """Where the next read begins."""
        place: int = self._inner.tell()
        return place

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def close(self) -> None:
        """Lets go of the blocks in memory."""
        self._inner.close()
        super().close()


def _attempts() -> int:
    text = os.environ.get("IPSEG_RETRY_ATTEMPTS", str(ATTEMPTS))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"IPSEG_RETRY_ATTEMPTS is {text!r}; it must be a number from 1 on")
    return int(text)


def _names(error: BaseException) -> set[str]:
    """`package.Class` of an error and everything it derives from."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}


def _answer(error: BaseException) -> tuple[int | None, str | None]:
    """HTTP status and the service's own code, from the error or from what it was made of."""
    for each in _causes(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status, response.get("Error", {}).get("Code")
        for name in ("status", "status_code", "code"):
            if isinstance(status := getattr(each, name, None), int):
                return status, None
    return None, None


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__
