"""Against a real S3 server on loopback that fails on purpose (tests/s3/server.py)."""

import http.client
import io
import json
import signal
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.config import load_config
from ipseg.errors import SourceError, StorageError
from ipseg.storage.addresses import fetch, parquet_uri, tar_uri
from ipseg.storage.files import exists, info, is_folder, open_input, read_bytes, remove, write_whole
from ipseg.storage.walk import iterate_files, list_files
from pipeline.runfolder.bank import ENTRIES
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")
SERVER = Path(__file__).parents[1] / "s3" / "server.py"


@pytest.fixture
def often(program):
    """One request in five goes wrong, in every way we know."""
    return program.Faults(0.2, seed=1, kinds=(*program.KINDS, "gateway"), delay_s=0.02)


def test_files_survive_faults(server, bucket, often):
    contents = {f"{bucket}/deep/{n} #{n}.bin": bytes([n]) * (1000 * n + 1) for n in range(40)}
    server.inject(often)
    for url, data in contents.items():
        write_whole(url, data)
    assert {url: read_bytes(url) for url in contents} == contents
    assert list_files(bucket) == sorted(contents)
    assert all(exists(url) for url in contents)
    assert is_folder(f"{bucket}/deep")
    assert not exists(f"{bucket}/nothing")
    for url in contents:
        remove(url)
    assert list_files(bucket) == []
    assert sum(server.injected.values()) > 20
    assert set(server.injected) == set(often.kinds), "every kind has happened"


def test_an_image_costs_one_request(server, bucket):
    write_whole(f"{bucket}/a.jpg", b"image")
    server.inject(server.faults)
    assert read_bytes(f"{bucket}/a.jpg") == b"image"
    assert server.requests == {"GET": 1}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", OSError),
        ("error", OSError),
        ("cut", ConnectionError),
        ("reset", ConnectionError),
        ("forbidden", PermissionError),
    ],
)
def test_a_fault_that_lasts_is_raised_after_the_set_attempts(
    server, bucket, program, monkeypatch, kind, error
):
    monkeypatch.setenv("IPSEG_RETRY_ATTEMPTS", "3")
    write_whole(f"{bucket}/a.jpg", b"image" * 100)
    server.inject(program.Faults(1.0, kinds=(kind,)))
    for call in (read_bytes, open_input, exists, list_files, lambda url: write_whole(url, b"x")):
        with pytest.raises(error):
            call(f"{bucket}/a.jpg")
    assert not server.requests.total() % 3 or kind == "forbidden"


def test_nothing_is_waited_for_that_is_not_there(server, bucket):
    server.inject(server.faults)
    with pytest.raises(FileNotFoundError):
        read_bytes(f"{bucket}/gone.jpg")
    with pytest.raises(FileNotFoundError):
        read_bytes("s3://no-such-bucket/gone.jpg")
    assert server.requests.total() == 2
    assert not exists("s3://no-such-bucket")
    with pytest.raises(SourceError, match="does not exist"):
        iterate_files(f"{bucket}/gone")


def test_without_credentials_the_error_says_what_to_set(server, bucket, monkeypatch, tmp_path):
    from s3fs import S3FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match=r"no credentials for s3://.*AWS_ACCESS_KEY_ID"):
        read_bytes(f"{bucket}/a.jpg")
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("kind", ["throttle", "reset", "lost"])
def test_an_object_is_whole_or_as_it_was(server, bucket, program, kind):
    old, new = b"old" * 1000, b"new" * 100_000
    write_whole(f"{bucket}/a", old)
    server.inject(program.Faults(1.0, kinds=(kind,), methods=("PUT",)))
    with pytest.raises(OSError, match=r"a: |request rate"):
        write_whole(f"{bucket}/a", new)
    server.inject(program.Faults())
    # When only the answers were lost, the object is there: a writer may have done what it denies.
    assert read_bytes(f"{bucket}/a") == (new if kind == "lost" else old)
    assert list_files(bucket) == [f"{bucket}/a"]


def test_what_another_process_writes_is_seen_at_once(bucket):
    write_whole(f"{bucket}/run/a", b"1")
    assert list_files(f"{bucket}/run") == [f"{bucket}/run/a"]
    assert not exists(f"{bucket}/run/b")
    assert not is_folder(f"{bucket}/run/c")
    program = (
        "from ipseg.storage.files import write_whole\n"
        f"for name in ('a', 'b', 'c/d'): write_whole(f'{bucket}/run/{{name}}', b'22')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert list_files(f"{bucket}/run", "*") == [f"{bucket}/run/a", f"{bucket}/run/b"]
    assert exists(f"{bucket}/run/b")
    assert is_folder(f"{bucket}/run/c")
    assert info(f"{bucket}/run/a")["size"] == 2
    assert read_bytes(f"{bucket}/run/a") == b"22"


def test_a_listing_of_many_pages_survives_faults_and_has_each_name_once(server, bucket, often):
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    keys = [f"photos/{n % 7}/{n:04}.jpg" for n in range(2500)]
    keys += ["photos/.hidden/a.jpg", "photos/7.jpg/inside.jpg", "photos/marker/", "photos2/a.jpg"]
    for key in keys:  # past the network, which would take seconds
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket.removeprefix("s3://"), key, b"x")
    server.inject(often)
    found = list(iterate_files(f"{bucket}/photos"))
    files = [each[:2] for each in found if not each.is_folder]
    wanted = [*sorted(keys[:2500]), "photos/7.jpg/inside.jpg"]
    assert files == [(key.removeprefix("photos/"), f"{bucket}/{key}") for key in wanted]
    folders = [each.name for each in found if each.is_folder]
    assert folders == [*map(str, range(7)), "7.jpg", "marker"]
    assert len(list_files(bucket, "photos/3/*.jpg")) == 357
    assert len(list_files(f"{bucket}/photos/*/1*.jpg")) == 1000


def test_images_in_containers_survive_faults(server, bucket, often):
    images = [bytes([n]) * 200_000 for n in range(8)]
    table, buffer = pa.table({"image": images}), io.BytesIO()
    pq.write_table(table, buffer, row_group_size=2, compression="none")
    write_whole(f"{bucket}/t.parquet", buffer.getvalue())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for n, image in enumerate(images):
            member = tarfile.TarInfo(f"{n}.jpg")
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
    write_whole(f"{bucket}/t.tar", buffer.getvalue())
    server.inject(often)
    for n, image in enumerate(images):
        assert fetch(parquet_uri(f"{bucket}/t.parquet", n, "image")) == image
        assert fetch(tar_uri(f"{bucket}/t.tar", f"{n}.jpg")) == image
    with open_input(f"{bucket}/t.parquet") as file:
        assert pq.read_table(file).equals(table)
    assert server.injected["cut"] > 0


def test_an_object_replaced_while_it_is_read_is_not_mixed(server, bucket, monkeypatch):
    monkeypatch.setattr("ipseg.storage.files.BLOCK", 1000)
    write_whole(f"{bucket}/a", b"old" * 10_000)
    with open_input(f"{bucket}/a") as file:
        assert file.read(3) == b"old"
        write_whole(f"{bucket}/a", b"new" * 10_000)
        with pytest.raises(OSError, match="no longer exists"):
            file.read()


def test_the_server_runs_as_a_program():
    command = [sys.executable, str(SERVER), "--bucket", "photos", "--fault-rate", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            endpoint = process.stdout.readline().strip()
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            for _ in range(20):
                try:
                    opener.open(f"{endpoint}/photos").read()
                except (OSError, http.client.HTTPException):
                    continue
        finally:
            process.send_signal(signal.SIGTERM)
        counters = json.loads(process.stdout.read())
    assert counters["requests"] == {"GET": 20}
    assert 0 < sum(counters["injected"].values()) < 20


def comparable(rows):
    """Rows without what a run says of itself."""
    own = ("uri", "version", "run_id", "config_sha256")
    return {row["key"]: {k: v for k, v in row.items() if k not in own} for row in rows}


def test_a_run_from_s3_to_s3_is_the_local_run(
    server, bucket, program, image_folder, prompt_folder, tmp_path
):
    """With its bank, and the prompts that are in it."""
    for folder, root in ((image_folder, "photos"), (prompt_folder, "prompts")):
        for file in folder.rglob("*.*"):
            write_whole(f"{bucket}/{root}/{file.relative_to(folder)}", file.read_bytes())

    def segmented(images, prompts, out):
        config = load_config(SMALL)
        return segment(Request(images, out, config, prompts=prompts, engine="local"))

    local = segmented(str(image_folder), str(prompt_folder), str(tmp_path / "run"))
    server.inject(program.Faults(0.1, delay_s=0.02))
    remote = segmented(f"{bucket}/photos", f"{bucket}/prompts", f"{bucket}/run")
    assert server.injected.total() > 0
    again = segmented(f"{bucket}/photos", f"{bucket}/prompts", f"{bucket}/run")
    assert again.metrics["rows_before"] == 7, "started again, it finds everything done"
    server.inject(program.Faults())
    assert remote.counts == local.counts
    rows = list(read_rows(remote.out))
    assert comparable(rows) == comparable(read_rows(local.out))
    assert all(row["uri"].startswith(f"{bucket}/photos/") for row in rows)
    entries, parts = (
        f"{bucket}/run/bank/{ENTRIES}",
        list_files(f"{bucket}/run/bank/data", "*/*"),
    )
    assert exists(entries)
    assert any(part.endswith(".parquet") for part in parts)
