"""The official JSON gives the same episodes as a pickle in the same order."""

import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.annotations import json_stream
from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.lvis92i import Lvis92iBenchmark
from ipseg.errors import OutputError, SourceError

SQUARE = [[2.0, 3.0, 6.0, 3.0, 6.0, 8.0, 2.0, 8.0]]
CORNER = [[0, 0, 3, 0, 3, 2]]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "LVIS/coco/train2017").mkdir(parents=True)
    (tmp_path / "LVIS/coco/val2017").mkdir()
    for number in range(6):
        Image.new("RGB", (12, 10)).save(tmp_path / "LVIS/coco" / path_of(number))
    return tmp_path


def path_of(number):
    return f"{('val2017', 'train2017')[number % 2]}/{number:012}.jpg"


def official():
    """12 unsorted categories; two of their three images have two instances."""
    images = [
        {
            "id": number,
            "coco_url": f"http://images.cocodataset.org/{path_of(number)}",
            "height": 10,
            "width": 12,
        }
        for number in range(6)
    ]
    annotations = [
        {"id": 0, "image_id": (c + n) % 6, "category_id": c, "segmentation": s}
        for n, s in enumerate([SQUARE, CORNER, SQUARE])
        for c in range(1, 13)
        for s in ([s, CORNER] if n else [s])
    ]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number
    return {
        "info": {"description": 'with "quotes", [brackets] and é', "version": [1, {"a": None}]},
        "annotations": annotations,
        "images": images,
        "licenses": [],
        "categories": [{"id": c, "name": f"thing {c}"} for c in reversed(range(1, 14))],
    }


def save(root, data, name="LVIS/lvis_v1_val.json"):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(data))


def as_pickle(data):
    """The pickle of the released loaders, in the order of the prepared table."""
    classes = {c["id"]: {} for c in sorted(data["categories"], key=lambda c: c["id"])}
    for annotation in data["annotations"]:
        image = path_of(annotation["image_id"])
        entry = classes[annotation["category_id"]].setdefault(image, {"annotations": []})
        entry["annotations"].append({"segmentation": annotation["segmentation"]})
    return classes


def test_json_and_pickle_give_the_same_episodes_except_for_names(root):
    data = official()
    save(root, data)
    assert Lvis92iBenchmark(str(root)).prepare() == [f"{root}/LVIS/lvis_val.parquet"]
    from_json = Lvis92iBenchmark(str(root))
    from_json.check()
    assert from_json.classes("4") == {5: "thing 5"}
    episodes = from_json.episodes("4", Sampling())
    assert len(episodes) == 25

    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(as_pickle(data)))
    Lvis92iBenchmark(str(root)).prepare()  # takes the pickle if it exists
    from_pickle = Lvis92iBenchmark(str(root)).episodes("4", Sampling())
    assert [(e.query, e.supports) for e in from_pickle] == [(e.query, e.supports) for e in episodes]
    assert {e.class_name for e in from_pickle} == {"5"}


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_json_is_read_in_blocks_of_any_size(root, block, monkeypatch):
    data = official()
    save(root, data)
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    seen = []
    url = str(root / "LVIS/lvis_v1_val.json")
    found = list(stream_lists(url, ("images", "annotations"), lambda *at: seen.append(at)))
    assert [e for key, e in found if key == "annotations"] == data["annotations"]
    assert [e for key, e in found if key == "images"] == data["images"]
    size = (root / "LVIS/lvis_v1_val.json").stat().st_size
    one = seen[: len(seen) // 2]
    assert one == sorted(one)
    assert one[-1] == (size, size)
    assert seen == [*one, *one]  # a pass for each list


def test_numbers_at_the_edge_of_a_block_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_BLOCK", 1)
    file = tmp_path / "x.json"
    file.write_text(
        '\ufeff{"n": 12345, "a": [{"x": 123, "y": 2.5}], "b": [1, []], "c": [{"é": "é"}]}'
    )
    found = list(stream_lists(str(file), ("a", "c")))
    assert found == [("a", {"x": 123, "y": 2.5}), ("c", {"é": "é"})]
    assert isinstance(found[0][1]["x"], int)
    assert isinstance(found[0][1]["y"], float)


def test_another_folder_becomes_a_data_root(root, tmp_path, monkeypatch):
    save(root, official(), "annotations/lvis_v1_val.json")
    out = tmp_path / "elsewhere"
    monkeypatch.chdir(root)
    assert Lvis92iBenchmark(".").prepare(str(out)) == [f"{out}/lvis_val.parquet"]
    assert not list(root.glob("*.parquet"))
    benchmark = Lvis92iBenchmark(str(out))
    benchmark.check()
    (episode, *_) = benchmark.episodes("0", Sampling())
    assert np.asarray(Image.open(episode.query.uri)).shape == (10, 12, 3)
    assert episode.query.key in (path_of(1), path_of(2), path_of(3))


def test_a_read_only_folder_is_named(root):
    save(root, official())
    (root / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*--out DIR"):
        Lvis92iBenchmark(str(root)).prepare(str(root / "file"))


@pytest.mark.parametrize(
    ("key", "change", "fault"),
    [
        ("annotations", {"segmentation": [[1, 2]]}, "annotation 0: a polygon without x, y"),
        ("annotations", {"image_id": 99}, "annotation 0: no image 99 in the file"),
        ("annotations", {"category_id": 99}, "no category 99 in the file"),
        ("annotations", {"category_id": "1"}, "category_id is '1', not a whole number"),
        ("images", {"coco_url": None}, "image 0: neither coco_url nor file_name"),
        ("images", {"coco_url": "http://x/../y"}, "image 0 names '../y'"),
        ("images", {"height": None}, "height is None"),
        ("categories", {"id": None}, "category None: id is None"),
    ],
)
def test_a_malformed_entry_is_named(root, key, change, fault):
    data = official()
    data[key][0].update(change)
    save(root, data)
    with pytest.raises(SourceError, match=rf"lvis_v1_val\.json: .*{fault}"):
        Lvis92iBenchmark(str(root), strict=True).prepare()


LINE = [3.0, 3.0, 6.0, 3.0]
FLAT = [1.0, 1.0, 7.0, 7.0, 4.0, 4.0]
OUTSIDE = [-9.0, 2.0, -1.0, 2.0, -1.0, 9.0]
NAN = [2.0, 3.0, float("nan"), 3.0, 6.0, 8.0]
THIN = [2.0, 3.2, 6.0, 3.2, 6.0, 3.4]  # no pixel, but as official files have them


@pytest.mark.parametrize(
    ("polygon", "reason"),
    [
        (LINE, "polygon without x, y of at least three corners"),
        ([], "polygon without x, y of at least three corners"),
        ([[1], [2, 3]], "polygon without x, y of at least three corners"),
        ("0:f", "polygon without x, y of at least three corners"),
        (None, "polygon without x, y of at least three corners"),
        (FLAT, "polygon without area"),
        (OUTSIDE, "polygon outside of its image"),
        (NAN, "polygon with a corner that is no number, or far outside of any image"),
        ([2, 3, 4, float("-inf"), 5, 5], "polygon with a corner that is no number, or far"),
        (THIN, None),
    ],
)
def test_a_polygon_of_no_use_beside_a_good_one_changes_nothing_but_the_count(root, polygon, reason):
    data = official()
    save(root, data)
    expected = Lvis92iBenchmark(str(root)).episodes("0", Sampling())
    data["annotations"][0]["segmentation"] = [*SQUARE, polygon]
    save(root, data)
    benchmark = Lvis92iBenchmark(str(root))
    assert benchmark.episodes("0", Sampling()) == expected
    again = Lvis92iBenchmark(str(root))  # from the table
    assert again.episodes("0", Sampling()) == expected
    assert again.dropped.listed == benchmark.dropped.listed
    if reason is None:
        assert benchmark.dropped.listed == []
        Lvis92iBenchmark(str(root), strict=True).check()
        return
    (only,) = benchmark.dropped.listed
    assert only["reason"].startswith(reason)
    assert only["count"] == 1
    assert "lvis_v1_val.json: annotation 0: a polygon" in only["example"]
    for _ in ("from the table", "from the file"):
        with pytest.raises(SourceError, match=r"lvis_v1_val\.json: annotation 0: a polygon"):
            Lvis92iBenchmark(str(root), strict=True).check()
        (root / "LVIS/lvis_val.parquet").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": [LINE]}, "polygon without x, y"),
        ({"segmentation": None}, "damaged segmentation"),
        ({"image_id": 99}, "annotation of an image that is not listed"),
        ({"category_id": 99}, "annotation of a category that is not listed"),
    ],
)
def test_an_annotation_of_no_use_is_left_out(root, change, reason):
    data = official()
    save(root, data)
    del data["annotations"][0]  # the only one of class 1 in image 1; there are two more images
    save(root, data)
    expected = Lvis92iBenchmark(str(root)).episodes("0", Sampling())
    data = official()
    data["annotations"][0].update(change)
    save(root, data)
    benchmark = Lvis92iBenchmark(str(root))
    assert benchmark.episodes("0", Sampling()) == expected
    (only,) = benchmark.dropped.listed
    assert only["reason"].startswith(reason)
    with pytest.raises(SourceError, match="annotation 0"):
        Lvis92iBenchmark(str(root), strict=True).check()


def test_images_without_file_are_left_out_but_not_many_of_them(root):
    save(root, official())
    (root / "LVIS/coco" / path_of(1)).unlink()
    for _ in ("made", "from the table"):
        benchmark = Lvis92iBenchmark(str(root))
        episodes = benchmark.episodes("0", Sampling())
        assert {e.query.key for e in episodes} == {path_of(2), path_of(3)}
        assert benchmark.dropped.listed == [
            {
                "reason": "image without file",
                "count": 1,
                "example": f"{root}/LVIS/coco/{path_of(1)} is missing",
            }
        ]
    with pytest.raises(SourceError, match=r"000000000001\.jpg is missing"):
        Lvis92iBenchmark(str(root), strict=True).check()
    for number in (0, 2, 4):
        (root / "LVIS/coco" / path_of(number)).unlink()
    with pytest.raises(SourceError, match="as are 4 of 6 images; is the download complete"):
        Lvis92iBenchmark(str(root)).check()


def test_a_class_that_would_leave_its_fold_is_refused(root):
    data = official()
    for image in (1, 2):  # of class 1, which has three
        for annotation in data["annotations"]:
            if (annotation["category_id"], annotation["image_id"]) == (1, image):
                annotation["segmentation"] = [LINE]
    save(root, data)
    with pytest.raises(SourceError, match=r"of 3 images of class thing 1 only 1 .* annotation 0"):
        Lvis92iBenchmark(str(root)).check()


def test_a_list_of_a_release_is_not_shortened(root):
    data = official()
    released = as_pickle(data)
    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(released))
    expected = Lvis92iBenchmark(str(root)).episodes("0", Sampling())
    two = next(entry for entry in released[1].values() if len(entry["annotations"]) == 2)
    two["annotations"].insert(0, {"segmentation": [LINE]})
    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(released))
    benchmark = Lvis92iBenchmark(str(root))
    assert benchmark.episodes("0", Sampling()) == expected
    assert [each["count"] for each in benchmark.dropped.listed] == [1]
    two["annotations"] = [{"segmentation": [LINE]}]
    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(released))
    with pytest.raises(SourceError, match=r"class 1, image .*, annotation 0: a polygon"):
        Lvis92iBenchmark(str(root)).check()


def test_a_table_follows_the_annotations(root, caplog):
    file, table = root / "LVIS/lvis_v1_val.json", root / "LVIS/lvis_val.parquet"
    data = official()
    save(root, data)
    first = Lvis92iBenchmark(str(root)).episodes("0", Sampling())
    made = table.stat().st_mtime_ns
    file.touch()
    assert Lvis92iBenchmark(str(root)).episodes("0", Sampling()) == first
    assert table.stat().st_mtime_ns == made
    assert not caplog.records

    text = file.read_text()
    before = file.stat()
    file.write_text(text.replace('"name": "thing 1"', '"name": "other 1"'))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Lvis92iBenchmark(str(root)).classes("0") == {1: "other 1"}
    assert "it is made again" in caplog.text
    assert Lvis92iBenchmark(str(root)).classes("0") == {1: "other 1"}
    assert len(caplog.records) == 1

    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(as_pickle(data)))  # comes first
    assert Lvis92iBenchmark(str(root)).classes("0") == {1: "1"}


def test_a_table_elsewhere_is_refused_when_its_source_has_changed(root, tmp_path):
    save(root, official(), "annotations/lvis_v1_val.json")
    out = tmp_path / "elsewhere"
    Lvis92iBenchmark(str(root)).prepare(str(out))
    file = root / "annotations/lvis_v1_val.json"
    file.touch()
    Lvis92iBenchmark(str(out)).check()
    file.write_text(file.read_text().replace("thing", "other"))
    with pytest.raises(SourceError, match=rf"made from {file}, which changed since; .*--out {out}"):
        Lvis92iBenchmark(str(out)).check()
    file.unlink()  # nothing to compare with
    Lvis92iBenchmark(str(out)).check()


@pytest.mark.parametrize("block", [1, 5, 64])
def test_numbers_that_json_does_not_have_are_null_unless_they_are_text(root, block, monkeypatch):
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    file = root / "x.json"
    file.write_text('{"a": [{"x": [NaN, -Infinity,Infinity , 1], "NaN": "NaN", "y": "so NaN"}]}')
    assert [e for _, e in stream_lists(str(file), ["a"])] == [
        {"x": [None, None, None, 1], "NaN": "NaN", "y": "so NaN"}
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not valid JSON"),
        ("[]", "no list 'images'"),
        ('{"images": []} {', "not valid JSON"),
        ('{"images": [{"id": nan}]}', "not valid JSON"),
        ('{"images": [', "not valid JSON, or is truncated"),
        ('{"images": [{"id": 1', "not valid JSON, or is truncated"),
        ('{"images": [1]}', r"images\[0\] is not an object"),
        ('{"images": ' + "[" * 5000, "not valid JSON"),
        ('{"images": {}}', "no list 'images'"),
        ('{"images": []} ', "no list 'images', or an empty one"),
        (
            '{"images": [{"id": 1, "file_name": "a/b", "height": 1, "width": 1}]} ',
            "no list 'categories'",
        ),
    ],
)
def test_invalid_json_is_named(root, text, fault):
    (root / "LVIS/lvis_v1_val.json").write_text(text)
    with pytest.raises(SourceError, match=rf"lvis_v1_val\.json.* {fault}|{fault}"):
        Lvis92iBenchmark(str(root)).prepare()


def test_file_names_with_a_folder_replace_a_missing_url(root):
    data = official()
    for image in data["images"]:
        image["file_name"] = path_of(image["id"])
        del image["coco_url"]
    save(root, data)
    Lvis92iBenchmark(str(root)).prepare()
    assert len(Lvis92iBenchmark(str(root)).episodes("0", Sampling())) == 25
