import errno
import http.server
import os
import resource
import subprocess
import sys
import threading
from functools import partial

import pytest

from ipseg.errors import StorageError
from ipseg.storage import retry
from ipseg.storage.files import (
    exists,
    filesystem,
    info,
    is_folder,
    is_local,
    open_input,
    read_bytes,
    remove,
    write_whole,
)


@pytest.fixture(params=["disk", "url of a disk", "memory"])
def root(request, tmp_path):
    if request.param == "memory":
        yield f"memory://{tmp_path.name}"
        fs, path = filesystem(f"memory://{tmp_path.name}")
        if fs.exists(path):
            fs.rm(path, recursive=True)
    else:
        yield f"file://{tmp_path}" if "url" in request.param else str(tmp_path)


def test_a_file_is_written_read_replaced_and_removed(root):
    file = f"{root}/new folder/a #1 [x].bin"
    assert not exists(file)
    for data in (b"old", b"", b"new" * 1000):
        write_whole(file, data)
        assert read_bytes(file) == data
        with open_input(file) as handle:
            assert handle.read() == data
    assert exists(file)
    assert not is_folder(file)
    assert is_folder(f"{root}/new folder")
    assert info(file)["size"] == 3000
    remove(file)
    assert not exists(file)
    with pytest.raises(FileNotFoundError):
        read_bytes(file)
    with pytest.raises(FileNotFoundError):
        open_input(file)


def test_addresses_and_types(tmp_path, monkeypatch):
    assert is_local(str(tmp_path))
    assert is_local(f"file://{tmp_path}")
    assert not is_local("memory://x")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a::b.jpg").write_bytes(b"a name fsspec would take for a chain")
    assert read_bytes("a::b.jpg").startswith(b"a name")
    assert not exists("a::b.jpg/below"), "a file has nothing below"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a"
    write_whole(str(file), b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            write_whole(str(file), os.urandom(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    file = tmp_path / "a"
    contents = [bytes([n]) * 100_000 for n in range(8)]
    writers = [threading.Thread(target=write_whole, args=(str(file), c)) for c in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert file.read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208


def test_a_read_only_folder_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_whole(f"{tmp_path}/file/below", b"")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    for read in (read_bytes, open_input):
        with pytest.raises(OSError, match="not a regular file"):
            read(str(tmp_path / "a.jpg"))
        with pytest.raises(IsADirectoryError):
            read(str(tmp_path))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nope://x", "cannot open nope://x: Protocol not known: nope"),
        ("gs://bucket/a", r"cannot open gs://bucket/a: .*; pip install 'ipseg\[gcs\]'"),
        ("simplecache::gcs://bucket/a", r"gcs.*pip install"),
        ("abfs://container/a", "adlfs"),
    ],
)
def test_a_missing_driver_is_named(url, message):
    with pytest.raises(StorageError, match=message):
        read_bytes(url)


def test_s3_without_its_driver_names_the_extra():
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from ipseg.errors import StorageError\n"
        "from ipseg.storage.files import read_bytes\n"
        "try: read_bytes('s3://bucket/a')\n"
        "except StorageError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)  # noqa: PLW1510
    assert "pip install 'ipseg[s3]'" in said.stdout, said.stderr


class WithoutRanges(http.server.SimpleHTTPRequestHandler):
    broken = 0

    def log_message(self, *_):
        pass

    def copyfile(self, source, outputfile):
        if WithoutRanges.broken:
            WithoutRanges.broken -= 1
            outputfile.write(source.read(1000))
        else:
            super().copyfile(source, outputfile)


def test_without_ranges_the_file_is_copied_and_a_truncated_copy_starts_again(tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    data = os.urandom(100_000)
    (tmp_path / "a.tar").write_bytes(data)
    handler = partial(WithoutRanges, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.tar"
        WithoutRanges.broken = 2
        with open_input(url) as file:
            assert file.seek(-10, os.SEEK_END) == len(data) - 10
            assert file.read() == data[-10:]
            file.seek(0)
            assert file.read() == data
        assert WithoutRanges.broken == 0
        server.shutdown()
