"""Lists of images: every line is a row."""

import json

import pytest

from ipseg.errors import SourceError
from pipeline.sources.parquet import Columns
from pipeline.sources.source import list_source


@pytest.fixture
def listed(tmp_path):
    def listed(name, text, **columns):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with list_source(str(file), str(tmp_path / "out"), Columns(**columns)) as found:
            return {
                row["key"]: row.get("error_message") or row["uri"].replace(f"{tmp_path}/", "HERE/")
                for row in found.write(str(tmp_path / "out")).read()
            }

    return listed


EXPECTED = {"1": "HERE/a.jpg", "2": "/b c.png", "3": "s3://x/c.jpg?y=1"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", 'id,path,label\n1,a.jpg,x\n2,"/b c.png","y,\nz"\n\n3,s3://x/c.jpg?y=1,\n'),
        ("l.CSV", "\ufeffid;file;label\r\n1;a.jpg;x\r\n2;/b c.png;y\r\n3;s3://x/c.jpg?y=1;z\r\n"),
        ("l.tsv", "id\timage\n1\ta.jpg\n2\t/b c.png\n3\ts3://x/c.jpg?y=1"),
        (
            "l.jsonl",
            "\n".join(
                json.dumps({"id": int(key), "url": path.removeprefix("HERE/"), "more": [1]})
                for key, path in EXPECTED.items()
            ),
        ),
    ],
)
def test_tables(listed, name, text):
    assert listed(name, text) == EXPECTED


def test_text_as_excel_saves_it(listed):
    assert listed("l.tsv", "id\tpath\n1\té.jpg\n".encode("utf-16")) == {"1": "HERE/é.jpg"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "# two of them\na.jpg\n\n/b c.png\r\n"),
        ("l.ndjson", '"a.jpg"\n{"path": "/b c.png"}\n'),
        ("l.csv", "a.jpg,dog\n/b c.png,cat\n"),
    ],
)
def test_paths_are_keys_where_there_are_no_others(listed, name, text):
    assert listed(name, text) == {"a.jpg": "HERE/a.jpg", "/b c.png": "/b c.png"}


def test_columns_can_be_named(listed):
    text = "name,where,id\nx,a.jpg,1\ny,b.jpg,1\n"
    assert listed("l.csv", text, key="name", image="where") == {
        **{"x": "HERE/a.jpg", "y": "HERE/b.jpg"}
    }
    with pytest.raises(SourceError, match="no column 'gone'; it has name, where, id"):
        listed("l.csv", text, image="gone")
    with pytest.raises(SourceError, match=r"no column that looks like paths.*--image-column"):
        listed("l.csv", text)
    with pytest.raises(SourceError, match=r"no image matched .* \(the list is empty\)"):
        listed("l.csv", "")


def test_every_line_is_a_row_good_or_bad(tmp_path, listed):
    found = listed(
        "l.jsonl",
        b'{"path": "a.jpg"}\n{"path"\n[1]\n{"path": 7}\n{"other": "b.jpg"}\n{"path": "a.jpg"}\n'
        b'{"path": "\xff.jpg"}\n{"path": "k.jpg", "key": {"a": 1}}\n{"path": ""}\n',
    )
    assert found.pop("a.jpg") == "HERE/a.jpg"
    assert "more than once" in found.pop("a.jpg#1")
    assert "not valid UTF-8" in found.pop("\\udcff.jpg")
    assert {key: message.partition(":")[0] for key, message in found.items()} == {
        "l.jsonl#2": "the line is not valid JSON",
        "l.jsonl#3": "the line is neither a JSON object nor a path",
        **{f"l.jsonl#{n}": "the line names no image" for n in (4, 9)},
        "l.jsonl#5": f"{tmp_path}/l.jsonl has no column that looks like paths of images (it "
        "has other); name one with --image-column",
        "l.jsonl#8": "the key is {'a'",
    }


def test_lines_of_a_csv_that_do_not_fit_its_header(listed):
    found = listed("l.csv", "path,label\na.jpg,x\nb.jpg\nc.jpg,x,y\nd.jpg,x\n")
    assert found == {
        **{"a.jpg": "HERE/a.jpg", "d.jpg": "HERE/d.jpg"},
        "l.csv#2": "the line has 1 cells, the header 2",
        "l.csv#3": "the line has 3 cells, the header 2",
    }


def test_a_file_without_lines_is_not_read_whole(listed):
    with pytest.raises(SourceError, match="a line has over 1,048,576 bytes"):
        listed("l.txt", b"x" * 2**21)


def test_a_list_of_containers(tmp_path, listed):
    with pytest.raises(SourceError, match=r"mixes 1 image, 1 Parquet file and 1 tar"):
        listed("l.txt", "a.jpg\nb.parquet\nc.tar.gz\n")
    found = listed("l.txt", "b.parquet\nsub/c.pq\n")
    assert set(found) == {"b.parquet", "sub/c.pq"}
    assert all("No such file" in message for message in found.values())
