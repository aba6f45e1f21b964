import json

import pytest

from ipseg.benchmarks.datasets.coco_novel import NOVEL, CocoNovelBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError


def box(number, category, x, **more):
    corners = [x, 2.0, x + 8, 2.0, x + 8, 20.0, x, 20.0]
    return {
        "id": number,
        "image_id": number,
        "category_id": category,
        "segmentation": [corners],
    } | more


@pytest.fixture
def root(tmp_path):
    """Seven references of each class; one of another class, one crowd, one without a polygon."""
    (tmp_path / "cocosplit/datasplit").mkdir(parents=True)
    (tmp_path / "coco/trainval2014").mkdir(parents=True)
    images = [
        {"id": n, "file_name": f"COCO_train2014_{n:012}.jpg", "height": 30, "width": 60}
        for n in range(9)
    ]
    test = {"images": images, "annotations": [box(1, 1, 4.0), box(2, 8, 4.0)], "categories": []}
    (tmp_path / "cocosplit/datasplit/5k.json").write_text(json.dumps(test))
    for seed in ("seed0", "seed3"):
        (tmp_path / f"cocosplit/{seed}").mkdir()
        for number, name in NOVEL.items():
            listed = [box(n, number, 4.0 + n) for n in range(7)]
            listed[2]["category_id"] = 8
            listed[3]["iscrowd"] = 1
            listed[4]["segmentation"] = []
            file = tmp_path / f"cocosplit/{seed}/full_box_3shot_{name}_trainval.json"
            file.write_text(json.dumps({"images": images, "annotations": listed}))
    return tmp_path


def test_the_classes_are_those_of_pascal_voc():
    assert len(NOVEL) == 20
    assert list(NOVEL) == sorted(NOVEL)


def test_some_references_are_drawn_by_the_number_of_the_seed(root):
    benchmark = CocoNovelBenchmark(str(root), shot=3)
    found = {fold: benchmark.references(fold) for fold in ("seed0", "seed3")}
    again = CocoNovelBenchmark(str(root), shot=3).references("seed3")
    assert found["seed3"] == again
    assert found["seed0"] != found["seed3"]
    usable = {f"coco/trainval2014/COCO_train2014_{n:012}.jpg" for n in (0, 1, 5, 6)}
    for of_seed in found.values():
        assert list(of_seed) == list(NOVEL.values())
        for shots in of_seed.values():
            assert len({each.key for each in shots}) == 3
            assert {each.key for each in shots} <= usable
            assert all(read_ground_truth(s.ground_truth).mask.sum() == 8 * 18 for s in shots)
    (dropped,) = benchmark.dropped.listed
    assert dropped["count"] == 40


def test_too_few_references_are_refused(root):
    for file in (root / "cocosplit/seed0").iterdir():
        file.rename(file.with_name(file.name.replace("3shot", "5shot")))
    with pytest.raises(SourceError, match=r"5shot_person.* has 4 usable annotation\(s\)"):
        CocoNovelBenchmark(str(root), shot=5).references("seed0")


def test_ground_truth_is_of_the_novel_classes_alone(root):
    truth = CocoNovelBenchmark(str(root), shot=3).truth
    assert [each["category_id"] for each in truth["annotations"]] == [1]
    assert len(truth["images"]) == 9
    assert {each["name"] for each in truth["categories"]} == set(NOVEL.values())


def test_files_that_are_no_lists_of_coco_are_named(root):
    list_of = root / "cocosplit/seed0/full_box_3shot_bus_trainval.json"
    for content, message in (
        ("{", "is not in COCO's format"),
        ('{"images": [], "annotations": []}', "lists no image or no annotation"),
        ('{"images": [{"id": 1}], "annotations": []}', "is not in COCO's format"),
    ):
        list_of.write_text(content)
        with pytest.raises(SourceError, match=f"bus_trainval.json {message}"):
            CocoNovelBenchmark(str(root), shot=3).references("seed0")
