"""Every image in a tar is a row, a failed row, or counted."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.storage.addresses import fetch
from pipeline.sources.parquet import Columns
from pipeline.sources.shard import Shard


def tar_of(*members):
    """A tar of (name, bytes), or of (name, type, target) for members without data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if len(rest) == 2:
                info.type, info.linkname = rest
                tar.addfile(info)
            else:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data, image=None, name="x.tar"):
        (tmp_path / name).write_bytes(data)
        shard = Shard("x", "webdataset", str(tmp_path / name), name, columns=Columns(image=image))
        ignored = Counter()
        return list(shard.read(ignored)), ignored

    return read


def outcome(rows):
    """Key -> bytes, or what its error says."""
    return {
        row["key"].removeprefix("x.tar/"): row.get("error_message") or row["image_bytes"]
        for row in rows
    }


NAMES = st.lists(
    st.tuples(
        st.sampled_from(["", "d/", "./", "d/e.f/"]),
        st.sampled_from(["1", "1.2", "frame.0001", "2023.10.01_x", "a b", "é"]),
        st.sampled_from([".jpg", ".JPG", ".png", ".seg.png", ".json", ".psd", ""]),
    ).map("".join),
    max_size=12,
)


@given(NAMES, st.integers(0, 12))
def test_every_member_is_a_row_or_counted(tmp_path_factory, names, split):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    files = [(name, name.encode()) for name in names]
    path.write_bytes(tar_of(*files[:split]) + tar_of(*files[split:]))
    ignored = Counter()
    rows = list(Shard("x", "webdataset", str(path), "x.tar").read(ignored))
    assert len(rows) + ignored.total() == len(names)
    assert len({row["key"] for row in rows}) == len(rows)
    images = {name for name in names if name.lower().endswith((".jpg", ".png"))}
    samples = {row["image_bytes"].decode() for row in rows}
    assert samples <= images
    for row in rows:
        if "error_type" not in row:
            assert fetch(row["uri"]) == row["image_bytes"], "the address alone finds it again"


def test_samples_dots_and_companions(read):
    rows, ignored = read(
        tar_of(
            *[("1.depth.png", b"depth"), ("1.jpg", b"one"), ("1.png", b"again"), ("1.json", b"{}")],
            *[("frame.0001.jpg", b"f1"), ("frame.0002.jpg", b"f2"), ("d/.hidden.jpg", b"h")],
            ("photo.PSD", b"?"),
        )
    )
    assert outcome(rows) == {"1": b"one", "frame.0001": b"f1", "frame.0002": b"f2"}
    assert ignored == {
        "image beside another of its sample": 2,
        **{".json": 1, ".psd": 1, "hidden file": 1},
    }


def test_the_extension_of_the_images_can_be_named(read):
    data = tar_of(("1.jpg", b"one"), ("1.Seg.PNG", b"mask"), ("2.seg.png", b"two"))
    rows, ignored = read(data, image="seg.png")
    assert outcome(rows) == {"1": b"mask", "2": b"two"}
    assert ignored == {".jpg": 1}


def test_links_are_followed(read):
    hard, symbolic = tarfile.LNKTYPE, tarfile.SYMTYPE
    rows, _ = read(
        tar_of(
            *[("before.jpg", symbolic, "d/a.jpg"), ("d/a.jpg", b"data")],
            *[("hard.jpg", hard, "d/a.jpg"), ("d/b.jpg", symbolic, "../hard.jpg")],
            *[("d/up.jpg", symbolic, "./../before.jpg"), ("gone.jpg", symbolic, "nowhere.jpg")],
            *[("round.jpg", symbolic, "trip.jpg"), ("trip.jpg", symbolic, "round.jpg")],
            ("queue.jpg", tarfile.FIFOTYPE, ""),
        )
    )
    found = outcome(rows)
    for key in ("before", "d/a", "hard", "d/b", "d/up"):
        assert found.pop(key) == b"data"
    assert found.pop("queue") == "member 'queue.jpg' is not a regular file"
    assert all("does not hold the file that it links to" in why for why in found.values())
    assert set(found) == {"gone", "round", "trip"}
    for row in rows:
        if row["key"] == "x.tar/d/up":
            assert fetch(row["uri"]) == b"data"


PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
}


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_joined_archives_of_any_compression(read, pack):
    one = tar_of(("a.jpg", b"a" * 512), ("b.1.jpg", b"b" * 700))
    two = tar_of(("c.jpg", b"c"), ("a.jpg", b"again"))
    rows, _ = read(pack(one + two))
    assert outcome(rows[:1] + rows[1:2]) == {"a": b"a" * 512, "c": b"c"}
    repeated, last = rows[2:]
    assert repeated["error_type"] == "RepeatedKeyError"
    assert last["image_bytes"] == b"b" * 700
    assert fetch(rows[1]["uri"]) == b"c"


WHOLE = tar_of(("a.jpg", b"a" * 700), ("b.jpg", b"b" * 512), ("c.1.jpg", b"c"))


@pytest.mark.parametrize(
    ("data", "keys", "message"),
    [
        (WHOLE[: 512 * 5], ["a", "b"], "ends at byte 2560 without an end mark"),
        (WHOLE[:2000], ["a"], "ends at byte 1536 without an end mark"),
        (WHOLE[:700], [], "unexpected end of data"),
        (WHOLE[: 512 * 7], ["a", "b", "c.1"], "ends at byte 3584 without an end mark"),
        (
            WHOLE[:1536] + b"?" * 512 + WHOLE[2048:],
            ["a"],
            "there is no valid header at byte 1536, and what follows cannot be read",
        ),
        (WHOLE + b"something else", ["a", "b", "c.1"], "what follows the archive at byte 10240"),
        (b"", [], "empty file"),
        (b"not a tar" * 100, [], "header"),
        (gzip.compress(WHOLE)[:-20], ["a", "b", "c.1"], "end-of-stream"),
    ],
)
def test_what_cannot_be_read_is_one_failed_row(read, data, keys, message):
    rows, _ = read(data)
    assert [row["key"].removeprefix("x.tar/") for row in rows if "error_type" not in row] == keys
    (broken,) = [row for row in rows if "error_type" in row]
    assert broken["key"] == "x.tar"
    assert message in broken["error_message"]


def test_a_link_to_a_name_that_comes_twice_is_one_row(read):
    members = [("a.1.jpg", b"first"), ("link.jpg", tarfile.LNKTYPE, "a.1.jpg"), ("a.1.jpg", b"2")]
    rows, _ = read(tar_of(*members))
    assert [row["key"] for row in rows] == ["x.tar/a.1", "x.tar/link", "x.tar/a.1#2"]
    assert [row.get("error_type") for row in rows] == [None, None, "RepeatedKeyError"]


def test_hidden_folders_are_left_out_as_on_a_disk(read):
    rows, ignored = read(
        tar_of(("./d/.thumbs/a.jpg", b"1"), ("./d/b.jpg", b"2"), ("._c.jpg", b"3"))
    )
    assert outcome(rows) == {"d/b": b"2"}
    assert ignored == {"hidden file": 2}


def test_a_header_may_claim_any_size(read):
    info = tarfile.TarInfo("a.jpg")
    info.size = 2**60
    rows, _ = read(info.tobuf(tarfile.GNU_FORMAT) + b"few bytes")
    assert [row["key"] for row in rows] == ["x.tar"]


def test_names_that_are_not_unicode_are_failed_rows(read):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("caf\udce9.jpg")
        tar.addfile(info, io.BytesIO())
    (row,), _ = read(buffer.getvalue())
    assert row["key"] == "x.tar/caf\\udce9"
    assert "not valid UTF-8" in row["error_message"]


@pytest.mark.parametrize("seed", [58, 79, 117, 172, 173])  # of damage that zlib itself notices
def test_damage_within_a_compressed_tar_is_an_error_of_its_rows(read, seed):
    random = np.random.default_rng(seed)
    members = [(f"{n}.jpg", random.bytes(60) * 9) for n in range(20)]
    data = bytearray(gzip.compress(tar_of(*members)))
    data[int(random.integers(20, len(data) - 20))] ^= int(random.integers(1, 255))
    rows, _ = read(bytes(data), name="x.tar.gz")
    assert [row for row in rows if row.get("error_message")]
