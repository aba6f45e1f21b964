import io
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.errors import SourceError
from ipseg.storage.addresses import fetch
from ipseg.vision.images import encode_jpeg
from pipeline.sources.parquet import Columns
from pipeline.sources.source import list_source


@pytest.fixture(scope="module")
def jpeg(photos):
    return encode_jpeg(photos["cup"])


@pytest.fixture
def look(tmp_path_factory):
    """Opens a source whose listing goes to a folder of its own."""

    def look(url, *more):
        out = str(tmp_path_factory.mktemp("run"))
        with list_source(str(url), out, *more) as listed:
            return listed.write(out)

    return look


def keys(source):
    return [row["key"] for row in source.read()]


def test_a_folder_is_searched_recursively_and_says_what_it_left_out(look, image_folder):
    source = look(str(image_folder))
    assert sorted(keys(source)) == [
        *("broken.jpg", "cup-crop.jpg", "cup-dark.jpg", "cup-flipped.jpg"),
        *("deep/cat-crop.jpg", "deep/cat-flipped.jpg", "rocket.jpg"),
    ]
    assert source.rows == 7
    assert source.ignored == {".txt": 1}


def test_one_file_a_glob_and_a_url(look, image_folder):
    assert keys(look(str(image_folder / "rocket.jpg"))) == ["rocket.jpg"]
    assert sorted(keys(look(f"{image_folder}/**/cat-*.jpg"))) == [
        "deep/cat-crop.jpg",
        "deep/cat-flipped.jpg",
    ]
    rows = list(look(f"file://{image_folder}/deep").read())
    assert {row["key"] for row in rows} == {"cat-crop.jpg", "cat-flipped.jpg"}
    assert fetch(rows[0]["uri"])


def test_names_with_glob_signs_hidden_files_and_folders_named_like_images(look, tmp_path, jpeg):
    root = tmp_path / "holiday [2020]"
    (root / "folder.jpg").mkdir(parents=True)
    (root / "folder.jpg" / "inside #1.JPG").write_bytes(jpeg)
    (root / "._ghost.jpg").write_bytes(b"resource fork")
    (root / ".cache").mkdir()
    (root / ".cache" / "thumb.jpg").write_bytes(jpeg)
    assert keys(look(str(root))) == ["folder.jpg", "folder.jpg/inside #1.JPG"]
    inside = list(look(str(root)).read())[1]
    assert fetch(inside["uri"]) == jpeg


def test_a_name_that_is_no_unicode_is_a_failed_row(look, tmp_path, jpeg):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg)
    (row,) = look(str(tmp_path)).read()
    assert row["key"] == "caf\\udce9.jpg"
    assert "not valid UTF-8" in row["error_message"]


def write_parquet(file, /, **columns):
    pq.write_table(pa.table(columns), file, row_group_size=2)


def test_parquet_with_bytes_with_structs_and_with_paths(look, tmp_path, jpeg, image_folder):
    write_parquet(tmp_path / "a.parquet", key=["x", "y", "z"], image_bytes=[jpeg] * 3)
    write_parquet(tmp_path / "b.parquet", image=[{"bytes": jpeg, "path": "p.jpg"}] * 3)
    rows = list(look(str(tmp_path)).read())
    assert [r["key"] for r in rows] == ["x", "y", "z", "b.parquet#0", "b.parquet#1", "b.parquet#2"]
    assert look(str(tmp_path)).rows == 6
    for row in rows:
        assert row["image_bytes"] == jpeg
        assert fetch(row["uri"]) == jpeg, "the address alone finds the image again"
    write_parquet(tmp_path / "c.parquet", path=[str(image_folder / "rocket.jpg"), "near.jpg"])
    (tmp_path / "near.jpg").write_bytes(jpeg)
    absolute, relative = look(str(tmp_path / "c.parquet")).read()
    assert fetch(absolute["uri"]) == (image_folder / "rocket.jpg").read_bytes()
    assert fetch(relative["uri"]) == jpeg


def test_parquet_columns_can_be_named_and_wrong_ones_are_refused(look, tmp_path, jpeg):
    file = tmp_path / "odd.parquet"
    write_parquet(file, name=["n1"], shot=[jpeg])
    assert keys(look(str(file), Columns("name", "shot"))) == ["n1"]
    with pytest.raises(SourceError, match=r"it has name, shot.*--image-column"):
        look(str(file))
    with pytest.raises(SourceError, match="no column 'shoot'; it has name, shot"):
        look(str(file), Columns(image="shoot"))


def test_a_null_image_and_a_broken_container_become_failed_rows(look, tmp_path, jpeg):
    write_parquet(tmp_path / "a.parquet", key=["good", "null"], image_bytes=[jpeg, None])
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but not really")
    rows = {row["key"]: row for row in look(str(tmp_path)).read()}
    assert "error_stage" not in rows["good"]
    assert "neither bytes nor a path" in rows["null"]["error_message"]
    assert rows["b.parquet"]["error_stage"] == "read"
    assert rows["b.parquet"]["error_type"] == "ArrowInvalid"


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_webdataset(look, tmp_path, jpeg):
    with tarfile.open(tmp_path / "shard-0.tar", "w") as tar:
        for sample in ("000", "001"):
            add(tar, f"{sample}.jpg", jpeg)
            add(tar, f"{sample}.json", b"{}")
            add(tar, f"{sample}.seg.png", b"a mask, not the image")
            add(tar, f"{sample}.png", b"the same image in another format")
    rows = list(look(str(tmp_path)).read())
    assert [row["key"] for row in rows] == ["shard-0.tar/000", "shard-0.tar/001"]
    assert all(fetch(row["uri"]) == row["image_bytes"] == jpeg for row in rows)
    assert look(str(tmp_path)).rows is None


def test_a_tar_that_was_cut_off_keeps_what_it_has_and_says_so(look, tmp_path, jpeg):
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        add(tar, "a.jpg", jpeg)
        add(tar, "b.jpg", jpeg)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[: len(jpeg) + 1500])
    rows = list(look(str(tmp_path / "cut.tar")).read())
    assert rows[0]["image_bytes"] == jpeg
    assert rows[-1]["error_stage"] == "read"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, r"no image matched .* \(the folder is empty\)"),
        (lambda root: (root / "a.txt").write_text(""), r"\(only 1 \.txt\)"),
        (lambda root: (root / "a").write_text(""), r"\(only 1 without a suffix\)"),
        (
            lambda root: [(root / name).write_text("") for name in ("a.jpg", "b.tar")],
            r"mixes 1 image and 1 tar; name one kind with a glob: '.*\*\.jpg' or '.*\*\.tar'",
        ),
    ],
)
def test_nothing_usable_is_one_clear_error(look, tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(SourceError, match=message):
        look(str(tmp_path))


def test_missing_places_are_named(look, tmp_path):
    with pytest.raises(SourceError, match="missing does not exist"):
        look(str(tmp_path / "missing"))
    with pytest.raises(SourceError, match="no image matched"):
        look(f"{tmp_path}/*.jpg")
    (tmp_path / "some.zip").write_bytes(b"")
    with pytest.raises(SourceError, match=r"its images are zip://\*\*::.*some\.zip"):
        look(f"{tmp_path}/some.zip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_a_row_too(look, tmp_path, jpeg):
    (tmp_path / "secret.jpg").write_bytes(jpeg)
    (tmp_path / "secret.jpg").chmod(0)
    row = next(iter(look(str(tmp_path)).read()))
    with pytest.raises(PermissionError):
        fetch(row["uri"])


def test_what_a_run_wrote_below_the_source_is_no_input(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    out = tmp_path / "run"
    out.mkdir()
    (out / "b.jpg").write_bytes(jpeg)
    (out / "part.parquet").write_bytes(b"")
    with list_source(str(tmp_path), str(out)) as listed:
        assert keys(listed.write(str(out))) == ["a.jpg"]
    message = "only files in the folder of the output, .*/run, which are no input"
    with pytest.raises(SourceError, match=message), list_source(f"{out}/b.jpg", str(out)):
        pass


def test_a_key_that_comes_again_in_a_file_is_a_failed_row(look, tmp_path, jpeg):
    write_parquet(tmp_path / "a.parquet", key=["x", "y", "x"], image_bytes=[jpeg] * 3)
    rows = list(look(tmp_path).read())
    assert [row["key"] for row in rows] == ["x", "y", "x#2"]
    assert rows[2]["error_type"] == "RepeatedKeyError"
    assert "--key-column" in rows[2]["error_message"]
