import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec

from ipseg.storage.stamps import stamps


def test_a_file_on_a_disk_has_another_stamp_after_each_change(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    link = tmp_path / "link.png"
    link.symlink_to(path)
    urls = [str(path), str(link), f"{tmp_path}/none.png", f"{path}/below"]
    first = stamps(urls)
    assert stamps(urls) == first
    assert [first[url] for url in urls[2:]] == [None, None]
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = stamps(urls)
    assert [second[url] == first[url] for url in urls] == [False, False, True, True]


def test_a_remote_file_has_another_stamp_after_each_change():
    memory = fsspec.filesystem("memory")
    urls = [f"memory://stamps/{name}" for name in ("a/1.png", "a/2.png", "b/1.png", "c/1.png")]
    try:
        for url in urls[:3]:
            memory.pipe(url, b"one")
        first = stamps(urls)
        assert stamps(urls) == first
        assert first[urls[3]] is None
        memory.pipe(urls[1], b"two")
        second = stamps(urls)
        assert [second[url] == first[url] for url in urls] == [True, False, True, True]
    finally:
        memory.rm("/stamps", recursive=True)


def test_a_web_server_that_gives_no_checksum_is_never_taken_for_unchanged(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{place}/a.png", f"{place}/none.png"]
        first, second = stamps(urls), stamps(urls)
        server.shutdown()
        thread.join()
    assert first[urls[0]] != second[urls[0]]
    assert first[urls[1]] is None
