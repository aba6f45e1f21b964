"""Names of files for any key: safe, and no two alike."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export import names as module
from pipeline.export.markup import markdown, xml_text
from pipeline.export.names import Names


def named(keys, **options):
    names = Names(**options)
    for key in keys:
        names.add(key)
    names.settle()
    return [names.of(key) for key in keys]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a.jpg", "a"),
        ("deep/er/ä b.png", "deep/er/ä b"),
        ("v1.0/x.y.jpg", "v1.0/x.y"),
        ("no-ending", "no-ending"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/x.jpg", "abs/x"),
        ("s3://bucket/x.jpg", "s3_/bucket/x"),
        ("a\nb<script>.png", "a_b_script_"),
        ("..", "image"),
        ("", "image"),
        ("x.txt/a.jpg", "x_txt_/a"),
        (".jpg", "jpg"),
    ],
)
def test_a_name_says_as_much_of_its_key_as_is_safe(key, name):
    assert named([key]) == [name]


def test_folders_that_a_format_needs_for_itself_are_renamed():
    assert named(["images/a.jpg"], reserved=frozenset({"images"})) == ["images_/a"]


def test_flat_names_have_no_folders_and_no_spaces():
    assert named(["a b/c.jpg"], flat=True) == ["a_b_c"]


_KEYS = st.lists(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
    | st.text("aA./_-.", max_size=6).map(lambda text: f"{text}.jpg"),
    unique=True,
    max_size=30,
)


@given(_KEYS, st.booleans())
def test_no_two_names_are_alike_whatever_the_keys(keys, flat):
    found = named(keys, flat=flat)
    assert len({name.casefold() for name in found}) == len(keys)
    for name in found:
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert all(part not in (".", "..") and min(part) >= " " for part in path.parts)
        assert all(len(part.encode()) < 200 for part in path.parts)
        assert str(path) == name


def test_a_key_that_looks_like_one_with_digits_cannot_meet_it():
    clash = named(["a.jpg", "a.png"])
    keys = ["a.jpg", "a.png", *(f"{name}.jpg" for name in clash)]
    assert len(set(named(keys))) == 4


def test_many_are_spread_over_folders(monkeypatch):
    monkeypatch.setattr(module, "MANY", 3)
    found = named([f"{n}.jpg" for n in range(4)])
    assert all(len(name.partition("/")[0]) == 2 for name in found)
    assert named(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], flat=True) == ["1", "2", "3", "4"]


def test_names_are_no_markup():
    assert markdown("a|b\n<i>*x*") == r"a\|b &lt;i&gt;\*x\*"
    assert xml_text("a\x00\x0bb\n<") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\n<"
