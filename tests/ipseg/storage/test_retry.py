import errno
import http.client
import io
import logging

import aiohttp
import botocore.exceptions as boto
import pytest
from fsspec.asyn import FSTimeoutError
from s3fs.errors import translate_boto_error
from s3fs.utils import FileExpired

from ipseg.errors import ConfigError, StorageError
from ipseg.storage import retry
from ipseg.storage.retry import RetriedFile, is_transient, redacted, with_retry


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)


def answer(status, code):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, "GetObject")


def from_s3fs(status, code):
    return translate_boto_error(answer(status, code))


def cut_body():
    error = aiohttp.ClientPayloadError("Response payload is not completed")
    error.__cause__ = aiohttp.http_exceptions.ContentLengthError("not enough data")
    return error


PASSING = {
    "a reset connection": ConnectionResetError(),
    "a timeout": TimeoutError(),
    "a timeout of fsspec": FSTimeoutError(),
    "a stale handle of NFS": OSError(errno.ESTALE, "Stale file handle"),
    "an error of a disk": OSError(errno.EIO, "Input/output error"),
    "throttling": from_s3fs(503, "SlowDown"),
    "throttling before s3fs": answer(503, "SlowDown"),
    "too many requests": from_s3fs(429, "TooManyRequests"),
    "an internal error": from_s3fs(500, "InternalError"),
    "a gateway": from_s3fs(502, "502"),
    "a gateway that timed out": from_s3fs(504, "504"),
    "two writers at once": from_s3fs(409, "OperationAborted"),
    "an upload that came in slowly": from_s3fs(400, "RequestTimeout"),
    "an upload that was damaged": from_s3fs(400, "BadDigest"),
    "a body that was cut": cut_body(),
    "a short read": http.client.IncompleteRead(b"half"),
    "no answer": boto.ConnectionClosedError(endpoint_url="http://x"),
    "no connection": boto.EndpointConnectionError(endpoint_url="http://x"),
    "a server that left": aiohttp.ServerDisconnectedError(),
    "a body whose checksum is wrong": boto.FlexibleChecksumError(error_msg="crc32"),
}
LASTING = {
    "a missing file": FileNotFoundError(2, "No such file"),
    "a missing object": from_s3fs(404, "NoSuchKey"),
    "a lacking permission": from_s3fs(403, "AccessDenied"),
    "old credentials": from_s3fs(400, "ExpiredToken"),
    "a folder": IsADirectoryError(),
    "a full disk": OSError(errno.ENOSPC, "No space left on device"),
    "a full quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "a disk that is read only": OSError(errno.EROFS, "Read-only file system"),
    "a bad request": from_s3fs(400, "InvalidArgument"),
    "a bad request s3fs does not know": from_s3fs(400, "SomethingNew"),
    "what S3 cannot do": from_s3fs(501, "NotImplemented"),
    "an object that was replaced while it was read": FileExpired("a", "etag"),
    "a certificate": boto.SSLError(endpoint_url="https://x", error="self-signed"),
    "no credentials": boto.NoCredentialsError(),
    "a mistake of ours": ValueError("x"),
    "an interruption": KeyboardInterrupt(),
}


@pytest.mark.parametrize("what", PASSING)
def test_transient_errors_are_retried(what):
    assert is_transient(PASSING[what])


@pytest.mark.parametrize("what", LASTING)
def test_permanent_errors_are_not_retried(what):
    assert not is_transient(LASTING[what])


class Flaky:
    """Raises the given errors in turn, then returns "done"."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_call_is_repeated_until_it_succeeds_without_secrets_in_the_log(caplog):
    caplog.set_level(logging.DEBUG, "ipseg")
    flaky = Flaky(TimeoutError("https://u:secret@h/?sig=secret"), ConnectionResetError())
    assert with_retry("https://user:secret@host/a.jpg?X-Amz-Signature=secret", flaky) == "done"
    assert flaky.calls == 3
    assert "attempt 1 at https://host/a.jpg?...: TimeoutError" in caplog.messages
    assert "secret" not in caplog.text
    assert redacted("/photos/a@b?c=d.jpg") == "/photos/a@b?c=d.jpg"


def test_the_last_error_is_raised_as_it_is():
    errors = [ConnectionResetError(n) for n in range(retry.ATTEMPTS)]
    flaky = Flaky(*errors)
    with pytest.raises(ConnectionResetError) as raised:
        with_retry("x", flaky)
    assert raised.value is errors[-1]
    assert flaky.calls == retry.ATTEMPTS


def test_a_permanent_error_is_raised_at_once():
    flaky = Flaky(PermissionError("no"))
    with pytest.raises(PermissionError):
        with_retry("x", flaky)
    assert flaky.calls == 1


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (boto.ConnectionClosedError(endpoint_url="http://x"), ConnectionError),
        (cut_body(), ConnectionError),
        (boto.NoCredentialsError(), StorageError),
    ],
)
def test_errors_of_drivers_become_known_errors(monkeypatch, error, becomes):
    monkeypatch.setenv("IPSEG_RETRY_ATTEMPTS", "1")
    with pytest.raises(becomes, match=r"s3://photos/a\.jpg") as raised:
        with_retry("s3://photos/a.jpg", Flaky(error))
    assert raised.value.__cause__ is error


def test_the_environment_sets_the_number_of_attempts(monkeypatch):
    monkeypatch.setenv("IPSEG_RETRY_ATTEMPTS", "2")
    flaky = Flaky(*[TimeoutError()] * 9)
    with pytest.raises(TimeoutError):
        with_retry("x", flaky)
    assert flaky.calls == 2
    for text in ("0", "-1", "many", ""):
        monkeypatch.setenv("IPSEG_RETRY_ATTEMPTS", text)
        with pytest.raises(ConfigError, match="IPSEG_RETRY_ATTEMPTS"):
            with_retry("x", Flaky())


def test_no_attempt_starts_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(retry, "PATIENCE_S", 0.0)
    flaky = Flaky(*[TimeoutError()] * 9)
    with pytest.raises(TimeoutError):
        with_retry("x", flaky)
    assert flaky.calls == 1


class Breaking(io.BytesIO):
    """Fails at every second read, after moving on."""

    def __init__(self, data):
        super().__init__(data)
        self.reads = 0

    def read(self, size=-1):
        data = super().read(size)
        self.reads += 1
        if self.reads % 2:
            raise ConnectionResetError
        return data


def test_a_file_continues_at_its_position_after_a_failed_read():
    data = bytes(range(256)) * 8
    with RetriedFile("x", Breaking(data)) as file:
        assert file.seekable()
        assert file.readable()
        assert file.read(100) == data[:100]
        assert file.tell() == 100
        buffer = bytearray(50)
        assert file.readinto(buffer) == 50
        assert bytes(buffer) == data[100:150]
        assert file.seek(-20, io.SEEK_END) == len(data) - 20
        assert file.readall() == data[-20:]
        assert file.read(1) == b""
    assert file.closed
    assert io.BufferedReader(RetriedFile("x", Breaking(data))).read() == data
