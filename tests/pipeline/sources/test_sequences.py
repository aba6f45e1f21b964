"""Folders of images as sequences: frames in natural order, what is asked of each, broken files."""

from hypothesis import given
from hypothesis import strategies as st

from ipseg.rows import failed, is_failed
from ipseg.vision.images import encode_jpeg
from pipeline.sources.sequences import as_sequences, sequence_of
from pipeline.sources.source import list_source


def image(key, **more):
    return {"key": key, "uri": f"/data/{key}", **more}


def frames(row):
    return [uri.removeprefix("/data/") for uri in row["frame_uris"]]


def test_each_folder_is_a_sequence_with_its_frames_in_natural_order():
    names = ["b/10.jpg", "a/x/2.jpg", "b/9.jpg", "b/1.jpg", "a/x/1.jpg", "single.jpg"]
    rows = {row["key"]: row for row in as_sequences(map(image, names))}
    assert {key: frames(row) for key, row in rows.items()} == {
        "b": ["b/1.jpg", "b/9.jpg", "b/10.jpg"],
        "a/x": ["a/x/1.jpg", "a/x/2.jpg"],
        ".": ["single.jpg"],
    }
    assert rows["b"]["uri"] == "/data/b/1.jpg"
    assert all("asks" not in row for row in rows.values()), "everything is looked for"


def test_names_of_letters_and_digits_are_ordered_part_by_part():
    names = ["shot2-frame10", "shot10-frame1", "shot2-frame9", "frame", "shot2"]
    (row,) = as_sequences(image(f"v/{name}") for name in names)
    assert frames(row) == [
        f"v/{name}" for name in ("frame", "shot2", "shot2-frame9", "shot2-frame10", "shot10-frame1")
    ]


def test_names_that_differ_in_zeros_alone_have_one_order_however_they_were_listed():
    names = ["v/007", "v/07", "v/7"]
    for listed in (names, names[::-1]):
        (row,) = as_sequences(map(image, listed))
        assert frames(row) == names


def test_a_video_is_a_sequence_by_itself():
    rows = {row["key"]: row for row in as_sequences(map(image, ["v/1.jpg", "v/a.mp4", "v/2.jpg"]))}
    assert {key: frames(row) for key, row in rows.items()} == {
        "v": ["v/1.jpg", "v/2.jpg"],
        "v/a.mp4": ["v/a.mp4"],
    }


@given(st.lists(st.text(st.sampled_from("a1²٣0.-"), min_size=1), unique=True, min_size=1))
def test_any_names_can_be_ordered_and_none_is_lost(names):
    (row,) = as_sequences(image(f"v/{name}") for name in names)
    assert sorted(frames(row)) == sorted(f"v/{name}" for name in names)
    (again,) = as_sequences(image(f"v/{name}") for name in reversed(names))
    assert again == row


@given(st.permutations(range(120)))
def test_numbers_are_ordered_as_numbers(order):
    (row,) = as_sequences(image(f"v/{number}.jpg") for number in order)
    assert frames(row) == [f"v/{number}.jpg" for number in range(120)]


def test_what_an_image_is_asked_for_is_asked_of_its_frame():
    def ask(concept):
        return [{"concept": concept, "frame": 0}]

    rows = [image("v/10", asks=ask("late")), image("v/2"), image("v/1", asks=ask("early"))]
    (row,) = as_sequences(rows)
    assert row["asks"] == [
        {"concept": "early", "frame": 0},
        {"concept": "late", "frame": 2},
    ]


def test_a_name_that_cannot_be_used_stays_a_row_of_its_own():
    broken = failed(image("v/2"), "read", ValueError("no UTF-8"))
    assert as_sequences([image("v/1"), broken]) == [
        broken,
        {"key": "v", "uri": "/data/v/1", "frame_uris": ["/data/v/1"]},
    ]


def test_a_frame_knows_its_sequence():
    assert [sequence_of(key) for key in ("a/b/1.jpg", "1.jpg")] == ["a/b", "."]


def test_folders_are_listed_as_sequences(tmp_path, photos):
    for name in ("one/10.jpg", "one/9.jpg", "two/1.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(encode_jpeg(photos["cup"][:40, :40].copy()))
    out = str(tmp_path / "run")
    with list_source(str(tmp_path / "in"), out, sequences=True) as listed:
        source = listed.write(out)
    assert source.rows == 2
    rows = {row["key"]: row["frame_uris"] for row in source.read()}
    assert rows == {
        "one": [f"{tmp_path}/in/one/{name}.jpg" for name in (9, 10)],
        "two": [f"{tmp_path}/in/two/1.jpg"],
    }


def test_a_folder_without_frames_is_a_failed_row(tmp_path, photos):
    for name in ("full/1.jpg", "deep/er/1.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).write_bytes(encode_jpeg(photos["cup"][:40, :40].copy()))
    out = tmp_path / "in" / "run"
    for name in ("empty", "deep/empty", "notes", ".hidden", "run/data"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / "in" / "notes" / "a.txt").write_text("no frame, but counted")

    def rows(url):
        with list_source(url, str(out), sequences=True) as listed:
            return {row["key"]: row for row in listed.write(str(tmp_path / "listing")).read()}

    found = rows(str(tmp_path / "in"))
    assert set(found) == {"full", "deep/er", "empty", "deep/empty"}
    assert {key for key, row in found.items() if is_failed(row)} == {"empty", "deep/empty"}
    assert found["deep/empty"]["uri"] == f"{tmp_path}/in/deep/empty"
    assert "the folder is empty" in found["empty"]["error_message"]
    # A glob matches folders without what is in them.
    assert set(rows(f"{tmp_path}/in/{{full/*,deep}}")) == {"full"}
