import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ConfigError, PromptError
from ipseg.prompts import (
    check_prompts,
    find_prompts,
    gather_prompts,
    parse_box,
    parse_points,
    with_drawn,
)
from ipseg.vision.images import ImageLimits, encode_jpeg


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def test_concepts_are_files_or_folders_and_masks_stand_beside(prompt_folder):
    rows = find_prompts(str(prompt_folder))
    assert [(r["concept"], r["key"]) for r in rows] == [("cat", "cat/1.jpg"), ("cup", "cup.jpg")]
    assert rows[0]["given_mask"] == f"{prompt_folder}/cat/1.mask.png#object"
    assert "given_mask" not in rows[1]


def test_boxes_and_points_stand_beside_too(tmp_path):
    folder = write(
        tmp_path,
        {
            "cup.jpg": b"",
            "cup.box.json": b"[1, 2, 30, 40.5]",
            "cat/1.jpg": b"",
            "cat/1.point.json": b"[[1, 2], [3, 4]]",
            "cat/2.png": b"",
            "cat/2.point.json": b"[5, 6]",
            "notes.txt": b"",
        },
    )
    rows = {row["key"]: row for row in find_prompts(folder)}
    assert rows["cup.jpg"]["given_box"] == [1, 2, 30, 40.5]
    assert [(p["x"], p["y"]) for p in rows["cat/1.jpg"]["given_points"]] == [(1, 2), (3, 4)]
    assert rows["cat/2.png"]["given_points"] == [{"x": 5, "y": 6, "label": 1}]
    assert rows.keys() == {"cup.jpg", "cat/1.jpg", "cat/2.png"}


def test_suffixes_are_the_same_in_any_case(tmp_path):
    names = ["cup/1.JPG", "cup/1.Mask.PNG", "cup/2.b.jpg", "cup/2.b.BOX.json", "cat.JPEG"]
    folder = write(tmp_path, dict.fromkeys(names, b"[1, 2, 3, 4]") | {"cat.Point.JSON": b"[1, 2]"})
    cat, one, two = find_prompts(folder)
    assert one["given_mask"] == f"{folder}/cup/1.Mask.PNG#object"
    assert two["given_box"] == [1, 2, 3, 4]
    assert [p["x"] for p in cat["given_points"]] == [1]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        *(
            ((f"cup/{name}",), f"cup/{name} looks like a mask, but masks are PNG")
            for name in ("1.mask.jpg", "1.mask.JPEG", "1.Mask.tif", "1.mask.webp")
        ),
        *(
            ((f"cup/{name}",), f"{name} looks like the mask of cup/1.JPG.*name it cup/1.mask.png")
            for name in (
                *("1_mask.png", "1-Mask.jpg", "1 masks.png", "1_matte.png", "1_seg.png"),
                *("1-alpha.webp", "mask_1.png", "1_masked.jpg"),
            )
        ),
        (
            ("cup/A.jpg", "cup/a_MASK.png"),
            "a_MASK.png looks like the mask of cup/A.jpg.*cup/A.mask",
        ),
        (("cup/1.png",), "1.JPG and cup/1.png have the same name.*name it cup/1.mask.png"),
        (("cup/1.mask.png", "cup/1.mask.PNG"), "are of the same image"),
        (("cup/2.mask.png",), "cup/2.mask.png has no prompt image beside it"),
    ],
)
def test_what_may_be_a_mask_never_becomes_an_example(tmp_path, files, message):
    folder = write(tmp_path, dict.fromkeys(["cup/1.JPG", *files], b""))
    with pytest.raises(PromptError, match=message):
        find_prompts(folder)


def test_concepts_may_be_called_mask(tmp_path):
    names = ["face_mask.jpg", "mask/1.jpg", "mask/blue_mask.jpg", "mask_1.jpg"]
    found = find_prompts(write(tmp_path, dict.fromkeys(names, b"")))
    assert [row["key"] for row in found] == names


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no prompt image in"),
        ({"a.txt": b""}, "no prompt image in"),
        ({"cup/deep/a.jpg": b""}, "lies too deep"),
        ({"cup.mask.png": b""}, "has no prompt image beside it"),
        ({"cup.box.json": b"[1,2,3,4]"}, "has no prompt image beside it"),
        ({"cup.jpg": b"", "cup.box.json": b"[1,2,"}, "cup.box.json is not valid JSON"),
        ({"cup.jpg": b"", "cup.box.json": b"[9,2,3,4]"}, "cup.box.json: a box is"),
        ({"cup.jpg": b"", "cup.point.json": b"{}"}, "cup.point.json: a point is"),
        ({"cup.jpg": b"text"}, "cup.jpg cannot be used: not a"),
        ({"cup.jpg": b""}, r"cup.jpg cannot be used: the file is empty"),
    ],
)
def test_unusable_prompts_are_one_clear_error(tmp_path, files, message):
    with pytest.raises(PromptError, match=message):
        check_prompts(find_prompts(write(tmp_path, files)), ImageLimits())


def test_a_prompt_outside_of_the_accepted_sizes_is_refused(tmp_path):
    folder = write(tmp_path, {"cup.jpg": encode_jpeg(np.zeros((20, 30, 3), np.uint8))})
    check_prompts(find_prompts(folder), ImageLimits(min_side=20))
    with pytest.raises(PromptError, match=r"cup.jpg cannot be used: .*images.min_side = 21"):
        check_prompts(find_prompts(folder), ImageLimits(min_side=21))


def test_one_file_is_a_prompt_with_what_lies_beside_it(tmp_path):
    names = ["cup.jpg", "cup.Mask.png", "cup.point.json", "cup.png.txt", "cup2.jpg", "dog.mask.png"]
    folder = write(tmp_path, dict.fromkeys(names, b"[1, 2]"))
    (row,) = find_prompts(f"{folder}/cup.jpg")
    assert (row["key"], row["concept"], row["uri"]) == ("cup.jpg", "cup", f"{folder}/cup.jpg")
    assert row["given_mask"] == f"{folder}/cup.Mask.png#object"
    assert [p["x"] for p in row["given_points"]] == [1]
    (named,) = find_prompts(f"{folder}/cup2.jpg", "mug")
    assert (named["key"], named["concept"]) == ("mug/cup2.jpg", "mug")
    assert find_prompts(f"{folder}/cup.jpg", "cup") == [row], "named as it names itself"
    assert "given_mask" not in named


def test_a_file_that_is_named_is_a_prompt_whatever_its_suffix(tmp_path):
    folder = write(tmp_path, {"cup": encode_jpeg(np.zeros((20, 30, 3), np.uint8)), "b.txt": b"hi"})
    check_prompts(find_prompts(f"{folder}/cup"), ImageLimits())
    with pytest.raises(PromptError, match=r"b.txt cannot be used: not an image"):
        check_prompts(find_prompts(f"{folder}/b.txt"), ImageLimits())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, f"{name} looks like")
            for name in ("cup_mask.png", "Mask_Cup.png", "cup.mask.jpg")
        ),
        ("cup.png", "cup.jpg and cup.png have the same name"),
    ],
)
def test_what_may_be_the_mask_of_one_file_is_not_passed_over(tmp_path, name, message):
    folder = write(tmp_path, {"cup.jpg": b"", name: b""})
    with pytest.raises(PromptError, match=message):
        find_prompts(f"{folder}/cup.jpg")


def test_a_glob_brings_masks_along(tmp_path):
    folder = write(tmp_path, dict.fromkeys(["a/1.jpg", "a/1.mask.png", "a/2.png", "b/1.jpg"], b""))
    rows = find_prompts(f"{folder}/*/1.jpg")
    assert [(r["key"], r["concept"]) for r in rows] == [("a/1.jpg", "a"), ("b/1.jpg", "b")]
    assert rows[0]["given_mask"] == f"{folder}/a/1.mask.png#object"
    assert [row["concept"] for row in find_prompts(f"{folder}/*/*", "cup")] == ["cup"] * 3


def test_one_file_on_object_storage_brings_its_mask_along(tmp_path):
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe({"/one/cup.jpg": b"", "/one/cup.mask.png": b"", "/one/dog.mask.png": b""})
    (row,) = find_prompts("memory://one/cup.jpg")
    assert row["given_mask"] == "memory:///one/cup.mask.png#object"


def test_prompts_are_gathered_from_a_folder_and_by_name(tmp_path, prompt_folder):
    files = ["x/1.jpg", "y/1.jpg", "y/1.mask.png"]
    folder = write(tmp_path, dict.fromkeys(files, b""))
    named = [f"cat={folder}/x/1.jpg", f"cat={folder}/y/1.jpg", f"dog={folder}/y"]
    rows = gather_prompts(str(prompt_folder), named, [], ["dog=3,4"])
    found = {row["key"]: row for row in rows}
    assert [*found] == [
        *("cat/1.jpg", "cup.jpg", "cat/2/cat/1.jpg", "cat/3/cat/1.jpg", "dog/1.jpg"),
    ]
    assert found["cat/3/cat/1.jpg"]["given_mask"] == f"{folder}/y/1.mask.png#object"
    assert found["dog/1.jpg"]["given_points"] == [{"x": 3, "y": 4, "label": 1}]
    for text in ("cup.jpg", "=cup.jpg"):
        with pytest.raises(ConfigError, match=f"--prompt {text}: write NAME=FILE"):
            gather_prompts(None, [text], [], [])


def test_prompts_that_are_nowhere_are_refused(tmp_path):
    with pytest.raises(PromptError, match="does not exist"):
        find_prompts(str(tmp_path / "none"))
    with pytest.raises(PromptError, match="no prompt image in"):
        find_prompts(f"{tmp_path}/*.jpg")
    with pytest.raises(PromptError, match="address of the prompts is empty"):
        find_prompts("")


ROWS = [
    {"key": "cup.jpg", "concept": "cup"},
    {"key": "cat/1.jpg", "concept": "cat"},
    {"key": "cat/2.jpg", "concept": "cat"},
]


def test_boxes_and_points_of_a_command_line_go_to_the_prompt_that_they_name():
    drawn = with_drawn(ROWS, ["cup=1,2,3,4"], ["cat/2.jpg=5,6", "cat/2.jpg=7,8"])
    assert [row.get("given_box") for row in drawn] == [[1, 2, 3, 4], None, None]
    points = [[(p["x"], p["y"]) for p in row.get("given_points", ())] for row in drawn]
    assert points == [[], [], [(5, 6), (7, 8)]]
    assert all(row.keys() == {"key", "concept"} for row in ROWS), "the rows given stay as they are"


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("dog=1,2,3,4", "'dog' must name one prompt, such as cup.jpg, cat/1.jpg"),
        ("cat=1,2,3,4", "'cat' must name one prompt"),
        ("1,2,3,4", "'' must name one prompt"),
        ("cup=1,2,x,4", "'1,2,x,4' are no numbers"),
        ("cup=1,2,3", "a box is"),
    ],
)
def test_a_box_of_a_command_line_that_cannot_be_used_is_refused(box, message):
    with pytest.raises(ConfigError, match=f"--prompt-box .*{message}"):
        with_drawn(ROWS, [box], [])


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda below: (
        st.lists(below, max_size=5) | st.dictionaries(st.text(max_size=2), below, max_size=2)
    ),
    max_leaves=8,
)


def parsed(parse, value):
    """What is made of a value, or why nothing is."""
    try:
        return parse(value, "here")
    except PromptError as error:
        return str(error)


@given(anything | st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_a_box_is_one_or_is_refused(value):
    box = parsed(parse_box, value)
    if isinstance(box, str):
        assert box.startswith("here: a box is")
    else:
        assert box == value
        assert 0 <= box[0] < box[2] < np.inf
        assert 0 <= box[1] < box[3] < np.inf


@given(anything | st.lists(st.lists(st.floats(-2, 9), min_size=2, max_size=2), max_size=3))
def test_points_are_points_or_are_refused(value):
    points = parsed(parse_points, value)
    if isinstance(points, str):
        assert points.startswith("here: a point is")
    else:
        listed = value if isinstance(value[0], list) else [value]
        assert [[p["x"], p["y"]] for p in points] == listed
        assert all(p["label"] == 1 for p in points)
        assert np.isfinite(listed).all()
        assert np.min(listed) >= 0


def test_whole_numbers_from_json_are_good_boxes():
    assert parse_box(json.loads("[0, 0, 1, 1]"), "here") == [0.0, 0.0, 1.0, 1.0]
