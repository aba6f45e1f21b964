import os
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import SourceError, StorageError
from ipseg.storage.files import read_bytes, write_whole
from ipseg.storage.walk import iterate_files, list_files

FILES = ("a.jpg", "b.txt", "deep/a.jpg", "deep/er/a.jpg", "folder.jpg/inside.jpg")


@pytest.fixture(params=["disk", "url of a disk", "memory"])
def root(request, tmp_path):
    places = {"disk": str(tmp_path), "url of a disk": f"file://{tmp_path}"}
    place = places.get(request.param, f"memory:///{tmp_path.name}") + "/my [2020] photos"
    for name in (*FILES, ".hidden.jpg", "deep/.cache/thumb.jpg"):
        write_whole(f"{place}/{name}", b"x")
    return place


def names(url):
    return sorted(name + "/" * folder for name, _, folder, _ in iterate_files(url))


def test_everything_below_a_folder_is_found_except_hidden_files(root):
    assert names(root) == sorted([*FILES, "deep/", "deep/er/", "folder.jpg/"])
    assert names(f"{root}/") == names(root)
    assert list_files(root) == [f"{root}/{name}" for name in FILES]


def test_one_file_is_found_by_its_name(root):
    (found,) = iterate_files(f"{root}/deep/a.jpg")
    assert found[:3] == ("a.jpg", f"{root}/deep/a.jpg", False)


def test_globs_are_relative_to_the_last_folder_without_glob_characters(root):
    base = root.rpartition("/")[0]
    literal = f"{base}/my [[]2020] photos"
    inside = "my [2020] photos/"
    assert names(f"{base}/my*/*.jpg") == [f"{inside}a.jpg", f"{inside}folder.jpg/"]
    assert names(f"{literal}/**/a.jpg") == [
        *(f"{inside}a.jpg", f"{inside}deep/a.jpg", f"{inside}deep/er/a.jpg")
    ]
    assert names(f"{root}/deep/a.*") == []
    assert names(f"{base}/nothing*") == []


def test_a_pattern_below_a_folder_uses_the_folder_literally(root):
    assert list_files(root, "*.jpg") == [f"{root}/a.jpg"]
    assert list_files(root, "d*/a.jpg") == [f"{root}/deep/a.jpg"]
    assert list_files(f"{root}/gone", "*.jpg") == list_files(f"{root}/gone") == []


def test_files_written_after_a_listing_are_listed(root):
    before = list_files(root)
    write_whole(f"{root}/z.jpg", b"x")
    assert list_files(root) == [*before, f"{root}/z.jpg"]


def test_a_missing_folder_is_named(root):
    with pytest.raises(SourceError, match="gone does not exist"):
        iterate_files(f"{root.rpartition('/')[0]}/gone")


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "real" / "a.jpg").write_bytes(b"x")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "real" / "below" / "up").symlink_to("../..")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    assert names(str(tmp_path)) == [
        *("dangling.jpg", "itself.jpg"),
        *("linked/", "linked/a.jpg", "linked/below/", "linked/below/up/"),
        *("real/", "real/a.jpg", "real/below/", "real/below/up/"),
    ]


def test_names_that_are_not_unicode_are_listed(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"x")
    assert [found[:3] for found in iterate_files(str(tmp_path))] == [
        (name, f"{tmp_path}/{name}", False)
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permission_is_reported(tmp_path, caplog):
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert names(str(tmp_path)) == ["a.jpg", "lost+found/"]
    assert "lost+found is left out: Permission denied" in caplog.text


_NAME = st.text(st.sampled_from("ab[]*?.! #%é"), min_size=1, max_size=4).filter(
    lambda name: not name.startswith(".")
)


@given(st.sets(st.tuples(_NAME, _NAME), min_size=1, max_size=8))
def test_any_names_are_listed_as_written(tmp_path_factory, pairs):
    root = str(tmp_path_factory.mktemp("names"))
    expected = {f"{folder}-/{name}" for folder, name in pairs}
    for name in expected:
        write_whole(f"{root}/{name}", b"x")
    found = {each.name: each.address for each in iterate_files(root) if not each.is_folder}
    assert found == {name: f"{root}/{name}" for name in expected}
    assert list_files(root, "*/*") == sorted(found.values())


def test_braces_stand_for_names_and_parts_of_globs(root):
    for k in range(3):
        write_whole(f"{root}/s-{k:03d}.tar", b"x")
    write_whole(f"{root}/s-{{9.tar", b"x")
    root = root.replace("[", "[[]")
    inside = "my [2020] photos/"
    assert names(f"{root}/s-{{000..002}}.tar") == [f"{inside}s-00{k}.tar" for k in range(3)]
    assert names(f"{root}/{{deep,deep/er}}/*.{{jpg,txt}}") == [
        *(f"{inside}deep/a.jpg", f"{inside}deep/er/a.jpg")
    ]
    assert names(f"{root}/s-{{*.tar") == [f"{inside}s-{{9.tar"]
    with pytest.raises(SourceError, match="more than 100,000 names"):
        names(f"{root}/{{0..999999999}}.jpg")


def test_names_that_braces_stand_for_must_be_there(tmp_path):
    (tmp_path / "s-1.tar").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"stands for 3 names, of which 2 do not exist: s-0.tar"):
        names(f"{tmp_path}/s-{{0..2}}.tar")
    assert names(f"{tmp_path}/*.{{tar,tgz}}") == ["s-1.tar"]


def test_a_name_with_braces_that_is_there_is_that_file(tmp_path):
    (tmp_path / "a{1,2}.jpg").write_bytes(b"x")
    assert names(f"{tmp_path}/a{{1,2}}.jpg") == ["a{1,2}.jpg"]


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name in ("pics/a.jpg", "pics/deep/b #1.jpg", "c.txt"):
            file.writestr(name, name)
    return f"{tmp_path}/x.zip"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("zip://pics/*.jpg", ["a.jpg"]),
        ("zip://pics", ["a.jpg", "deep/b #1.jpg"]),
        ("zip://**/*.jpg", ["pics/a.jpg", "pics/deep/b #1.jpg"]),
        ("zip://", ["c.txt", "pics/a.jpg", "pics/deep/b #1.jpg"]),
        ("zip://pics/a.jpg", ["a.jpg"]),
        ("simplecache::zip://pics", ["a.jpg", "deep/b #1.jpg"]),
    ],
)
def test_what_a_chain_of_addresses_lists_is_found_again(archive, inside, expected):
    found = {
        n: address for n, address, folder, _ in iterate_files(f"{inside}::{archive}") if not folder
    }
    assert sorted(found) == expected
    for name, address in found.items():
        assert read_bytes(address).decode().endswith(name)


def test_a_chain_through_a_cache_and_a_chain_that_breaks(tmp_path, archive):
    ((name, address, _, _),) = iterate_files(f"simplecache::file://{archive}")
    assert name == "x.zip"
    assert read_bytes(address) == read_bytes(archive)
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    for url in (f"zip://a::{tmp_path}/no.zip", f"zip://a::{tmp_path}/gone.zip"):
        with pytest.raises(StorageError, match=r"cannot open zip://a::"):
            iterate_files(url)


@pytest.fixture
def server(tmp_path):
    """A web server on loopback that lists folders, as `python -m http.server` does."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "www"))

        def log_message(self, *arguments):
            pass

    for name in ("a.jpg", "b c #1.jpg", "deep dir/ü.jpg", ".hidden/x.jpg"):
        write_whole(f"{tmp_path}/www/{name}", name.encode())
    links = ("?C=N", "/", "1.jpg", "//other/x.jpg")
    page = "".join(f'<a href="{link}">{link}</a>' for link in links)
    write_whole(f"{tmp_path}/www/page/index.html", page.encode())
    write_whole(f"{tmp_path}/www/page/1.jpg", b"page/1.jpg")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("", ["a.jpg", "b c #1.jpg", "deep dir/ü.jpg", "page/1.jpg"]),
        ("/", ["a.jpg", "b c #1.jpg", "deep dir/ü.jpg", "page/1.jpg"]),
        ("/deep%20dir", ["ü.jpg"]),
        ("/page/", ["1.jpg"]),
        ("/*.jpg", ["a.jpg", "b c #1.jpg"]),
        ("/b%20c%20%231.jpg", ["b c #1.jpg"]),
        ("/a.jpg?token=1", ["a.jpg"]),
    ],
)
def test_a_listing_page_is_a_folder(server, below, expected):
    found = {
        each.name: each.address for each in iterate_files(server + below) if not each.is_folder
    }
    assert sorted(found) == expected
    for name, address in found.items():
        assert read_bytes(address).decode().endswith(name)
