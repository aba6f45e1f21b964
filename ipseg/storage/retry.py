"""Retrying after transient storage errors.

This is the only layer that retries: `ipseg.storage.files` disables the long waits of the drivers,
so that a permanent failure takes a few seconds, not minutes.
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
PATIENCE_S = 30.0  # no new attempt starts after this

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
# Transient error codes of S3 with a status for client errors.
_CODES = frozenset({"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"})
# By name, because the drivers are optional and only imported for their URLs.
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
_PERMANENT = frozenset(
    {
        "s3fs.FileExpired",  # an EBUSY: the object was replaced while it was read
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
    """Whether the same call can succeed a moment later.

    True for lost, refused and timed out connections, truncated bodies, throttling and server errors
    (408, 429, 500, 502, 503, 504, and 409, two writers at once). False for permanent errors: a
    missing file, missing permission, a full or read-only disk, a bad request.
    """
    names = _names(error)
    if isinstance(error, _NEVER) or names & _PERMANENT:
        return False
    if isinstance(error, TimeoutError | ConnectionError) or names & _NAMES:
        return True
    status, code = _answer(error)
    if status is not None and 400 <= status < 500:  # s3fs maps unknown ones to EIO
        return code in _CODES or status in _STATUSES
    return status in _STATUSES or (isinstance(error, OSError) and error.errno in _ERRNOS)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error of a driver; None without a response."""
    return _answer(error)[0]


def with_retry(address: str, call: Callable[[], _Result]) -> _Result:
    """Calls a function, with exponential backoff after transient errors.

    Args:
        address: what the call accesses, for the log; secrets in it are redacted.
        call: idempotent.

    Raises:
        OSError: from the last attempt. Other transient errors of drivers become a
            `ConnectionError` with the original as cause.
        StorageError: there are no credentials for this address.
    """

    def log_retry(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        kind, wait = type(error).__name__, state.upcoming_sleep
        # The error text can contain a signed URL, so only its type is logged.
        log.debug("attempt %d at %s: %s", state.attempt_number, redacted(address), kind)
        log.debug("retrying %s in %.1f s", redacted(address), wait)

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(_attempts()) | stop_after_delay(PATIENCE_S),
        # Uniform below a doubling bound, so that throttled workers do not retry at the same time.
        wait=wait_random_exponential(multiplier=2 * FIRST_WAIT_S, max=LONGEST_WAIT_S),
        before_sleep=log_retry,
        reraise=True,
    )
    try:
        return retrying(call)
    except OSError:
        raise
    except Exception as error:
        if _names(error) & _NO_CREDENTIALS:
            raise StorageError(
                f"no credentials for {redacted(address)} ({error}); set them in the environment, "
                f"for s3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        if not is_transient(error):
            raise
        raise ConnectionError(f"{redacted(address)}: {type(error).__name__}") from error


def redacted(address: str) -> str:
    """An address without secrets: user and password, and the query of a signed URL."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    query = "..." if "=" in parts.query else parts.query
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


class RetriedFile(io.RawIOBase):
    """A seekable file on a remote filesystem that retries failed reads at their position.

    fsspec fetches ranges, so a truncated body is requested again from the start of its block, not
    from the start of the file.
    """

    def __init__(self, address: str, inner: Any) -> None:  # noqa: ANN401  (fsspec has no types)
        super().__init__()
        self._address, self._inner = address, inner

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes from the current position; all remaining bytes for -1."""
        place = self._inner.tell()

        def call() -> bytes:
            self._inner.seek(place)
            data: bytes = self._inner.read(-1 if size is None else size)
            return data

        return with_retry(self._address, call)

    def readall(self) -> bytes:
        """All remaining bytes."""
        return self.read()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (any writable buffer)
        """Fills a buffer; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position; returns it."""
        place: int = self._inner.seek(offset, whence)
        return place

    def tell(self) -> int:
        """The current position."""
        place: int = self._inner.tell()
        return place

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def close(self) -> None:
        """Frees the blocks in memory."""
        self._inner.close()
        super().close()


def _attempts() -> int:
    text = os.environ.get("IPSEG_RETRY_ATTEMPTS", str(ATTEMPTS))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"IPSEG_RETRY_ATTEMPTS is {text!r}; it must be a number, 1 or more")
    return int(text)


def _names(error: BaseException) -> set[str]:
    """`package.Class` of an error and everything it derives from."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}


def _answer(error: BaseException) -> tuple[int | None, str | None]:
    """HTTP status and the error code of the service, from the error or its causes."""
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
