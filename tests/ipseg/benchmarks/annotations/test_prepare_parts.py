"""PACO's official JSON gives the same episodes as the pickles; tables can be saved elsewhere."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.paco_part import PacoPartBenchmark
from ipseg.benchmarks.datasets.pascal_part import PascalPartBenchmark
from ipseg.errors import SourceError
from ipseg.vision.masks import encode_rle

PARTS = range(10, 19)  # category ids; 18 has no annotation in the training set
BOX = [1.5, 2.0, 6.0, 5.5]
FACE = [[2, 3, 6, 3, 6, 7, 2, 7]]
SPOT = {"size": [10, 12], "counts": [60, 10, 50]}


def path_of(number):
    return f"val2017/{number:012}.jpg"


def official(parts):
    """Three images; in each an object with all the parts, one of them in two pieces."""
    categories = [{"id": 1, "name": "mug", "supercategory": "OBJECT"}] + [
        {"id": c, "name": f"mug:part {c}", "supercategory": "PART"} for c in reversed(PARTS)
    ]
    images = [{"id": n, "file_name": path_of(n), "height": 10, "width": 12} for n in range(3)]
    annotations = []
    for image in range(3):
        number = 100 * (image + 1)
        whole = {"id": number, "obj_ann_id": number, "category_id": 1, "bbox": BOX}
        pieces = [
            {"id": number + n, "obj_ann_id": number, "category_id": c, "segmentation": s}
            for n, (c, s) in enumerate([(parts[0], SPOT), *((c, FACE) for c in parts)], start=1)
        ]
        annotations += [{**a, "image_id": image} for a in (*pieces, whole)]  # objects come last
    return {"annotations": annotations, "images": images, "categories": categories}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "PACO-Part/coco/val2017").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (12, 10)).save(tmp_path / "PACO-Part/coco" / path_of(number))
    save(tmp_path, train=official(PARTS[:-1]), val=official(PARTS))
    return tmp_path


def save(root, **splits):
    for split, data in splits.items():
        (root / f"PACO-Part/paco_lvis_v1_{split}.json").write_text(json.dumps(data))


def test_json_and_pickles_give_the_same_episodes_except_for_names(root):
    assert PacoPartBenchmark(str(root)).prepare() == [f"{root}/PACO-Part/paco_part_val.parquet"]
    from_json = PacoPartBenchmark(str(root))
    from_json.check()
    assert [list(from_json.classes(fold)) for fold in from_json.folds] == [
        [10, 14],
        [11, 15],
        [12, 16],
        [13, 17],
    ]
    assert from_json.classes("0")[10] == "mug:part 10"
    episodes = from_json.episodes("0", Sampling())
    assert {episode.query.crop for episode in episodes} == {(1, 2, 7, 7)}

    size = {"height": 10, "width": 12}
    val = {c: {path_of(n): {"annotations": [], **size} for n in range(3)} for c in PARTS}
    for a in official(PARTS)["annotations"]:
        if a["category_id"] in val:
            val[a["category_id"]][path_of(a["image_id"])]["annotations"].append(
                {**a, "obj_bbox": BOX}
            )
    (root / "PACO-Part/paco").mkdir()
    for split, data in (("train", {c: val[c] for c in PARTS[:-1]}), ("val", val)):
        (root / f"PACO-Part/paco/paco_part_{split}.pkl").write_bytes(pickle.dumps(data))
    assert PacoPartBenchmark(f"{root}/").prepare() == [
        f"{root}/PACO-Part/paco/paco_part_val.parquet"
    ]
    from_pickles = PacoPartBenchmark(str(root)).episodes("0", Sampling())
    assert [(e.class_id, e.query, e.supports) for e in from_pickles] == [
        (e.class_id, e.query, e.supports) for e in episodes
    ]


def test_another_folder_becomes_a_data_root(root, tmp_path):
    calls = []
    out = tmp_path / "elsewhere"
    opened = PacoPartBenchmark(str(root), progress=lambda *at: calls.append(at))
    (url,) = opened.prepare(f"{out}/")
    assert url == f"{out}/paco_part_val.parquet"
    assert calls[-1] == ((root / "PACO-Part/paco_lvis_v1_val.json").stat().st_size,) * 2
    benchmark = PacoPartBenchmark(str(out))
    benchmark.check()
    (episode, *_) = benchmark.episodes("1", Sampling())
    assert episode.query.uri.startswith(f"{root}/PACO-Part/coco/val2017/")


def changed(number, **change):
    data = official(PARTS)
    data["annotations"][number].update(change)
    return data


@pytest.mark.parametrize(
    ("val", "fault"),
    [
        (changed(0, obj_ann_id=7), "annotation 101: no object 7"),
        (changed(0, obj_ann_id=None), "annotation 101: obj_ann_id is None"),
        (changed(0, image_id=9), "annotation 101: no image 9"),
        (changed(0, segmentation=3), "annotation 101: the segmentation is not a list"),
        (changed(10, bbox=[1, 2]), r"id 100: \[1, 2\] is not a box"),
        ({**official(PARTS), "annotations": []}, "no list 'annotations'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_entry_is_named(root, val, fault):
    save(root, val=val)
    with pytest.raises(SourceError, match=rf"paco_lvis_v1_val\.json.*{fault}"):
        PacoPartBenchmark(str(root), strict=True).prepare()


@pytest.mark.parametrize(
    ("number", "change", "count"),
    [
        (0, {"obj_ann_id": 7}, 1),
        (0, {"image_id": 9}, 1),
        (0, {"segmentation": [[1, 2, 3, 4]]}, 1),
        (10, {"bbox": [1, 2]}, 10),  # the object, and its nine parts of known classes
    ],
)
def test_an_annotation_of_no_use_is_left_out(root, number, change, count):
    data = official(PARTS)
    save(root, val=data | {"annotations": data["annotations"][11 if number else 1 :]})
    expected = PacoPartBenchmark(str(root)).episodes("0", Sampling())
    save(root, val=changed(number, **change))
    benchmark = PacoPartBenchmark(str(root))
    assert benchmark.episodes("0", Sampling()) == expected
    assert sum(each["count"] for each in benchmark.dropped.listed) == count


def test_a_table_follows_both_files(root):
    first = PacoPartBenchmark(str(root)).classes("0")
    data = official(PARTS[:-1])
    for category in data["categories"]:
        category["name"] = category["name"].replace("part", "piece")
    save(root, train=data)
    assert list(first.values()) == ["mug:part 10", "mug:part 14"]
    assert list(PacoPartBenchmark(str(root)).classes("0").values()) == [
        "mug:piece 10",
        "mug:piece 14",
    ]


def test_annotations_of_undefined_categories_are_refused(root):
    save(root, train=changed(0, category_id=77))
    with pytest.raises(SourceError, match=r"train\.json: annotations of categories \[77\]"):
        PacoPartBenchmark(str(root)).prepare()


def test_both_official_files_are_needed(root):
    (root / "PACO-Part/paco_lvis_v1_train.json").unlink()
    with pytest.raises(SourceError, match="no annotations, of both train and val"):
        PacoPartBenchmark(str(root)).prepare()


def test_pascal_part_can_be_written_elsewhere(tmp_path):
    folder = tmp_path / "datasets/Pascal-Part/VOCdevkit/VOC2010"
    objects = folder / "Annotations_Part_json_merged_part_classes"
    objects.mkdir(parents=True)
    mask = encode_rle(np.ones((4, 4), bool))
    things = [
        {"name": name, "bndbox": [0, 0, 4, 4], "parts": [{"name": "HEAD", "mask": mask}]}
        for name in ("cat", "bottle", "person", "bus")
    ]
    for image in ("a", "b"):
        (objects / f"{image}.json").write_text(json.dumps({"object": things}))
    lists = {"train": ["b"], "val": ["a", "b"]}
    index = {f"{thing['name']}+HEAD": lists for thing in things}
    (folder / "all_obj_part_to_image.json").write_text(json.dumps(index))
    out = tmp_path / "out"
    with pytest.raises(SourceError, match="no images of PASCAL VOC 2010"):
        PascalPartBenchmark(str(tmp_path)).prepare(str(out))
    (folder / "JPEGImages").mkdir()
    calls = []
    opened = PascalPartBenchmark(str(tmp_path), progress=lambda *at: calls.append(at))
    assert opened.prepare(str(out)) == [f"{out}/pascal_part.parquet"]
    assert calls == [(1, 2), (2, 2)]
    benchmark = PascalPartBenchmark(str(out))
    benchmark.check()
    assert benchmark.classes("person") == {2: "person+HEAD"}
    for episode in benchmark.episodes("person", Sampling()):
        assert episode.query.uri in (f"{folder}/JPEGImages/a.jpg", f"{folder}/JPEGImages/b.jpg")

    assert PascalPartBenchmark(str(tmp_path)).episodes("person", Sampling())[0].query.crop == (
        *(0, 0, 4, 4),
    )
    (objects / "a.json").touch()
    PascalPartBenchmark(str(out)).check()
    for image in ("a", "b"):
        (objects / f"{image}.json").write_text(
            json.dumps({"object": [thing | {"bndbox": [0, 0, 3, 3]} for thing in things]})
        )
    again = PascalPartBenchmark(str(tmp_path)).episodes("person", Sampling())
    assert again[0].query.crop == (0, 0, 3, 3)
    with pytest.raises(SourceError, match=r"pascal_part\.parquet was made from .*changed since"):
        PascalPartBenchmark(str(out)).check()
