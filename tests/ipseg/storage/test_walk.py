import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import SourceError
from ipseg.storage.files import write_whole
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
    return sorted(name + "/" * folder for name, _, folder in iterate_files(url))


def test_everything_below_a_folder_is_found_except_hidden_files(root):
    assert names(root) == sorted([*FILES, "deep/", "deep/er/", "folder.jpg/"])
    assert names(f"{root}/") == names(root)
    assert list_files(root) == [f"{root}/{name}" for name in FILES]


def test_one_file_is_found_by_its_name(root):
    assert list(iterate_files(f"{root}/deep/a.jpg")) == [("a.jpg", f"{root}/deep/a.jpg", False)]


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
    assert list(iterate_files(str(tmp_path))) == [(name, f"{tmp_path}/{name}", False)]


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
    found = {name: path for name, path, folder in iterate_files(root) if not folder}
    assert found == {name: f"{root}/{name}" for name in expected}
    assert list_files(root, "*/*") == sorted(found.values())
