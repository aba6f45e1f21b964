"""Label maps and lists follow the annotations, and what is of no use in these is left out."""

import json
import pickle

import numpy as np
import pytest
from coco_kit import CATEGORY_IDS, HEIGHT, WIDTH, rectangle, write
from PIL import Image

from ipseg.benchmarks.annotations.coco_splits import read_split
from ipseg.benchmarks.annotations.prepare_coco import prepare
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.coco20i import Coco20iBenchmark
from ipseg.benchmarks.dropped import Dropped
from ipseg.errors import SourceError
from ipseg.storage.files import write_whole


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


@pytest.mark.parametrize(
    ("number", "values", "reason"),
    [
        (1, {"image_id": 5}, "annotation of an image that is not listed"),
        (1, {"category_id": 12}, "annotation of a category that is not listed"),
        (1, {"area": None}, "annotation without area or segmentation"),
        (1, {"segmentation": [[1, 2, 3]]}, "polygon without x, y of at least three corners"),
        (1, {"segmentation": rectangle(200, 0, 210, 9)}, "polygon outside of its image"),
        (1, {"segmentation": [[5, 5, 9, 9, 5, 5]]}, "polygon without area"),
        (1, {"segmentation": {"size": [2, 2], "counts": [4]}}, "mask of another size"),
        (1, {"id": None}, "record without a whole number where one belongs"),
    ],
)
def test_an_annotation_of_no_use_is_left_out_and_counted(root, number, values, reason):
    path = root / "data/MSCOCO2014/annotations/instances_val2014.json"
    found = json.loads(path.read_text())
    image = found["annotations"][number]["image_id"]
    found["annotations"][number].update(values)
    path.write_text(json.dumps(found))
    dropped = Dropped()
    prepare(str(root), dropped=dropped)
    (only,) = dropped.listed
    assert only["reason"].startswith(reason)
    assert only["count"] == 1
    assert "instances_val2014.json: annotation" in only["example"]
    # Annotation 1 is class 0 of the first image: a strip in the first row.
    labels = Image.open(path.parent / f"val2014/COCO_val2014_{70 - image:012d}.png")
    assert np.asarray(labels)[:3, 0].tolist() == [0, 2, 3]
    assert read_split(f"{path.parents[1]}/splits/val/fold0.parquet")[0] == [
        f"val2014/COCO_val2014_{n:012d}.jpg" for n in (2, 3, 4)
    ]


def test_an_image_record_of_no_use_takes_its_annotations_with_it(root):
    path = root / "data/MSCOCO2014/annotations/instances_val2014.json"
    found = json.loads(path.read_text())
    del found["images"][0]["file_name"]
    path.write_text(json.dumps(found))
    dropped = Dropped()
    prepare(str(root), dropped=dropped)
    assert {each["reason"]: each["count"] for each in dropped.listed} == {
        "image without a name of COCO": 1,
        "annotation of an image that is not listed": 80,
    }
    assert len(list((path.parent / "val2014").iterdir())) == 3


def test_a_file_of_other_images_is_refused(root):
    path = root / "data/MSCOCO2014/annotations/instances_val2014.json"
    found = json.loads(path.read_text())
    for image in found["images"]:
        image["file_name"] = image["file_name"].removeprefix("COCO_val2014_")
    path.write_text(json.dumps(found))
    with pytest.raises(SourceError, match=r"327 of 327 records .*named '000000000001.jpg'"):
        prepare(str(root))


def test_maps_and_lists_follow_the_annotations(root):
    base = root / "data/MSCOCO2014"
    path = base / "annotations/instances_val2014.json"
    prepare(str(root))
    given = base / "annotations/val2014/COCO_val2014_000000000004.png"
    Image.fromarray(np.full((HEIGHT, WIDTH), 9, np.uint8)).save(given)  # from elsewhere
    prepare(str(root))
    Coco20iBenchmark(str(root)).check()
    path.touch()
    Coco20iBenchmark(str(root)).check()  # the contents are the same

    found = json.loads(path.read_text())
    found["annotations"] = [
        a | ({"category_id": CATEGORY_IDS[1]} if a["category_id"] == CATEGORY_IDS[0] else {})
        for a in found["annotations"]
        if a["image_id"] != 69  # image 1 has no annotations any more
    ]
    path.write_text(json.dumps(found))
    refused = r"annotations/val2014/ was made from \S*instances_val2014.json, which changed since"
    with pytest.raises(SourceError, match=f"{refused}.*prepare coco-20i"):
        Coco20iBenchmark(str(root)).check()
    with pytest.raises(SourceError, match=refused):
        Coco20iBenchmark(str(root)).episodes("0", Sampling())

    written = prepare(str(root))
    maps = [file.rpartition("_")[2] for file in written if file.endswith(".png")]
    assert maps == ["000000000002.png", "000000000003.png"]
    folder = base / "annotations/val2014"
    assert not (folder / "COCO_val2014_000000000001.png").exists()
    assert np.asarray(Image.open(given)).max() == 9
    labels = np.asarray(Image.open(folder / "COCO_val2014_000000000002.png"))
    assert labels[:3, 0].tolist() == [2, 2, 3]
    two, three, four = (f"val2014/COCO_val2014_{n:012d}.jpg" for n in (2, 3, 4))
    fold = read_split(f"{base}/splits/val/fold0.parquet")
    assert 0 not in fold
    assert (fold[4], fold[8]) == ([two, three], [two, three, four])
    assert read_split(f"{base}/splits/val/fold1.parquet")[1] == [two, three]
    Coco20iBenchmark(str(root)).check()
    assert prepare(str(root)) == []


def test_lists_follow_label_maps_that_were_corrected(root):
    prepare(str(root))
    base = root / "data/MSCOCO2014"
    path = base / "annotations/val2014/COCO_val2014_000000000001.png"
    labels = np.asarray(Image.open(path))
    Image.fromarray(np.where(labels == 1, 0, labels)).save(path)
    refused = r"splits/val/fold0.parquet was made from \S*annotations/val2014/, which changed"
    with pytest.raises(SourceError, match=refused):
        Coco20iBenchmark(str(root)).check()
    assert len(prepare(str(root))) == 1
    Coco20iBenchmark(str(root)).check()
    assert (
        "val2014/COCO_val2014_000000000001.jpg"
        not in read_split(f"{base}/splits/val/fold0.parquet")[0]
    )


def test_what_was_prepared_elsewhere_follows_its_source(root):
    source = root / "data/MSCOCO2014"
    out = root / "out"
    lists = {c: [f"val2014/COCO_val2014_{n:012d}.jpg" for n in (1, 2)] for c in range(0, 80, 4)}
    write_whole(f"{source}/splits/val/fold0.pkl", pickle.dumps(lists))
    prepare(str(root), out=str(out))
    (source / "val2014").rename(out / "val2014")
    Coco20iBenchmark(str(out)).check()
    write_whole(f"{source}/splits/val/fold0.pkl", pickle.dumps(lists | {0: lists[0][::-1]}))
    with pytest.raises(SourceError, match=r"fold0.parquet was made from \S*fold0.pkl, which cha"):
        Coco20iBenchmark(str(out)).check()
    (source / "splits/val/fold0.pkl").unlink()  # nothing to compare with
    Coco20iBenchmark(str(out)).check()


def test_an_image_that_was_deleted_is_left_out_of_lists_that_are_not_published(root):
    prepare(str(root))
    base = root / "data/MSCOCO2014"
    (base / "val2014/COCO_val2014_000000000002.jpg").unlink()
    benchmark = Coco20iBenchmark(str(root))
    benchmark.check()
    episodes = benchmark.episodes("0", Sampling())
    assert {e.query.key[-6:] for e in episodes} == {"01.jpg", "03.jpg", "04.jpg"}
    (only,) = benchmark.dropped.listed
    assert (only["reason"], only["count"]) == ("image without file", 1)
    with pytest.raises(SourceError, match=r"000000000002\.jpg is missing"):
        Coco20iBenchmark(str(root), strict=True).check()
    names = [f"val2014/COCO_val2014_{n:012d}.jpg" for n in range(1, 5)]
    lists = dict.fromkeys(range(0, 80, 4), names)
    write_whole(f"{base}/splits/val/fold0.pkl", pickle.dumps(lists))
    with pytest.raises(SourceError, match=r"000000000002.jpg is missing, which the lists need"):
        Coco20iBenchmark(str(root)).check()
