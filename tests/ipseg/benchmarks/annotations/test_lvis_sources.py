"""The table follows the annotations, and what is of no use in these is left out."""

import os
import pickle

import pytest
from lvis_kit import SQUARE, as_pickle, official, path_of, save, write

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.lvis92i import Lvis92iBenchmark
from ipseg.errors import SourceError


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


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
