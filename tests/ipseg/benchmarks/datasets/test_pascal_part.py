"""A miniature of the released layout: an index of classes, one JSON file for each image."""

import json

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.pascal_part import PascalPartBenchmark
from ipseg.benchmarks.episode import from_table, to_table
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ConfigError, SourceError
from ipseg.vision.masks import encode_rle

VOC = "Pascal-Part/VOCdevkit/VOC2010"
INDEX = "all_obj_part_to_image.json"
OBJECTS = "Annotations_Part_json_merged_part_classes"
NAMES = [f"2008_{number:06}" for number in range(6)]
# Superclass -> class -> training and validation images, as numbers in NAMES.
LISTS = {
    "vehicles": {
        "aeroplane+TAIL": ([0], [1, 2]),  # skipped by the released loader
        "bus+WHEEL": ([0], [1, 2, 3]),
        "train+HEAD": ([0], [4, 5]),
    },
    "animals": {"cat+EAR": ([0], [2, 1, 5]), "cat+LEG": ([], [1, 2]), "dog+LEG": ([1, 2], [])},
    "indoor": {"bottle+CAP": ([5], [0, 1])},
    "person": {"person+ARM": ([4], [5, 0])},
}


def rle(*rows):
    mask = np.zeros((10, 12), bool)
    mask[list(rows)] = True
    return encode_rle(mask)


def thing(name, box, **parts):
    return {
        "name": name,
        "bndbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
        "parts": [{"name": part, "mask": mask} for part, masks in parts.items() for mask in masks],
    }


def image():
    """The annotations of every image."""
    return {
        "object": [
            thing("bus", (1, 2, 9, 8), WHEEL=[rle(3), rle(5)], DOOR=[rle(4)]),
            thing("bus", (0, 0, 12, 10), DOOR=[rle(9)]),
            thing("bus", (4, 4, 12, 10), WHEEL=[rle(7)]),
            *(thing(name, (0, 0, 6, 6), HEAD=[rle(1)]) for name in ("train", "cow")),
            thing("cat", (2, 2, 8, 8), EAR=[rle(2)], LEG=[rle(6), rle(7)]),
            thing("bottle", (3, 3, 3, 9), CAP=[rle(4)]),  # zero pixels wide
            thing("person", (0, 0, 5, 9), ARM=[rle(0)]),
        ]
    }


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / VOC
    (folder / "JPEGImages").mkdir(parents=True)
    (folder / OBJECTS).mkdir()
    for name in NAMES:
        Image.new("RGB", (12, 10)).save(folder / f"JPEGImages/{name}.jpg")
        (folder / OBJECTS / f"{name}.json").write_text(json.dumps(image()))
    save(tmp_path, superclass_first())
    return tmp_path


def save(root, index):
    (root / VOC / INDEX).write_text(json.dumps(index))


def superclass_first():
    return {
        group: {
            name: {
                split: [NAMES[n] for n in numbers]
                for split, numbers in zip(("train", "val"), lists, strict=True)
            }
            for name, lists in classes.items()
        }
        for group, classes in LISTS.items()
    }


def turned(*, first, split_names):
    """The same lists with the split outermost."""
    index = {}
    for group, classes in superclass_first().items():
        for name, splits in classes.items():
            for split, names in splits.items():
                keys = {"group": (group, *name.split("+")), "no group": (name,)}[first]
                node = index.setdefault(split, {})
                for key in keys[:-1]:
                    node = node.setdefault(key, {})
                node[keys[-1]] = [f"{n}.jpg" for n in names] if split_names else names
    return index


def test_folds_are_superclasses_and_classes_need_an_image_of_each_split(root):
    benchmark = PascalPartBenchmark(str(root))
    benchmark.check()
    assert benchmark.folds == ("animals", "indoor", "person", "vehicles")
    assert [benchmark.classes(fold) for fold in benchmark.folds] == [
        {2: "cat+EAR"},
        {3: "bottle+CAP"},
        {4: "person+ARM"},
        {0: "bus+WHEEL", 1: "train+HEAD"},
    ]


@pytest.mark.parametrize("first", ["group", "no group"])
@pytest.mark.parametrize("split_names", [True, False])
def test_lists_nested_another_way_mean_the_same(root, first, split_names):
    benchmark = PascalPartBenchmark(str(root))
    expected = benchmark.episodes("vehicles", Sampling())
    (root / VOC / "pascal_part.parquet").unlink()
    save(root, turned(first=first, split_names=split_names))
    other = PascalPartBenchmark(str(root))
    assert other.episodes("vehicles", Sampling()) == expected
    assert [other.classes(fold) for fold in other.folds] == [
        benchmark.classes(fold) for fold in benchmark.folds
    ]


def test_person_is_a_superclass_and_an_object(root):
    index = superclass_first()
    index["person"] = {"ARM": index["person"]["person+ARM"]}
    save(root, index)
    assert PascalPartBenchmark(str(root)).classes("person") == {4: "person+ARM"}


@pytest.mark.parametrize("shot", [1, 3])
def test_classes_in_turn_images_first_then_objects_that_have_the_part(root, shot):
    episodes = PascalPartBenchmark(str(root)).episodes("vehicles", Sampling(shot=shot, seed=2))
    assert len(episodes) == 3 + 2  # entries of the validation set
    draw = np.random.RandomState(2)

    def choose(items):
        return items[draw.choice(len(items), 1, replace=False)[0]]

    boxes = {"bus+WHEEL": ["1,2,9,8", "4,4,12,10"], "train+HEAD": ["0,0,6,6"]}
    for number, episode in enumerate(episodes):
        name = ("bus+WHEEL", "train+HEAD")[number % 2]
        listed = [NAMES[n] for n in LISTS["vehicles"][name][1]]
        drawn = [choose(listed)]
        while len(drawn) <= shot:
            support = choose(listed)
            if support != drawn[0]:
                drawn.append(support)
        assert episode.class_name == name
        assert [e.key for e in (episode.query, *episode.supports)] == [
            f"{image}.jpg#{choose(boxes[name])}" for image in drawn
        ]
    assert episodes[0].query.uri == f"{root}/{VOC}/JPEGImages/{episodes[0].query.key[:11]}.jpg"
    assert from_table(to_table(episodes)) == episodes


def test_the_ground_truth_is_the_union_of_the_masks_of_the_object(root):
    episodes = PascalPartBenchmark(str(root)).episodes("vehicles", Sampling())
    for episode in episodes[::2]:
        for example in (episode.query, *episode.supports):
            mask = read_ground_truth(example.ground_truth).mask
            rows = {(1, 2, 9, 8): [3, 5], (4, 4, 12, 10): [7]}[example.crop]
            assert np.flatnonzero(mask.all(axis=1)).tolist() == rows


def test_an_empty_crop_stays_in_the_list(root):
    episodes = PascalPartBenchmark(str(root)).episodes("indoor", Sampling())
    assert [episode.query.crop for episode in episodes] == [(3, 3, 3, 9)] * 2
    with pytest.raises(SourceError, match="hardly any crop contains class bottle\\+CAP"):
        PascalPartBenchmark(str(root)).episodes("indoor", Sampling(rule="resample-empty"))


def test_images_that_are_listed_twice_are_drawn_twice_as_often(root):
    index = superclass_first()
    index["animals"]["cat+EAR"]["val"] = [NAMES[1]] * 900 + [NAMES[2]] * 100
    save(root, index)
    episodes = PascalPartBenchmark(str(root)).episodes("animals", Sampling())
    assert len(episodes) == 1000
    assert 850 < sum(NAMES[1] in e.query.key for e in episodes) < 950


def test_no_more_than_2500_episodes_are_drawn(root):
    index = superclass_first()
    index["animals"]["cat+EAR"]["val"] = NAMES[1:3] * 1300
    save(root, index)
    assert len(PascalPartBenchmark(str(root)).episodes("animals", Sampling())) == 2500


def test_the_table_replaces_the_json_files(root):
    before = PascalPartBenchmark(str(root)).episodes("vehicles", Sampling())
    (root / VOC / INDEX).unlink()
    assert PascalPartBenchmark(str(root / VOC)).episodes("vehicles", Sampling()) == before


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ([], "the file is not a list of images"),
        ({"animals": {"cat+EAR": {"val": None}}}, "animals / cat\\+EAR / val is not a list"),
        ({"animals": {"cat+EAR": [NAMES[0]]}}, "do not give split, superclass"),
        ({"val": {"unicorn+HORN": [NAMES[0]]}}, "do not give split, superclass"),
        ({"val": [NAMES[0]]}, "do not give split, superclass"),
        ({"animals": {"cat": {"val": ["x"]}}}, "do not give split, superclass"),
        ({"animals": {"cat+EAR": {"val": ["../x"]}}}, "'../x' is not the name of an image"),
        ({"animals": {"cat+EAR": {"val": [7]}}}, "7 is not the name of an image"),
        ({}, "no class of fold 'animals'"),
    ],
    ids=str,
)
def test_an_invalid_index_is_named(root, index, fault):
    save(root, index)
    with pytest.raises(SourceError, match=fault):
        PascalPartBenchmark(str(root)).check()


def changed(**change):
    data = image()
    data["object"][0].update(change)
    return data


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ([], "has no list 'object'"),
        ({"object": [3]}, "object 0 has no list 'parts'"),
        ({"object": []}, r"has no (bus\+WHEEL|cat\+EAR).*, but all_obj_part"),
        (changed(parts={}), "object 0 has no list 'parts'"),
        (changed(parts=[0]), "object 0, part 0 is not a JSON object"),
        (changed(bndbox=None), "object 0: None is not a bndbox"),
        (changed(bndbox={"xmin": 1}), "is not a bndbox"),
        (
            changed(parts=[{"name": "WHEEL", "mask": [[1, 1, 5, 1, 5, 5]]}]),
            "polygons instead of run",
        ),
        (changed(parts=[{"name": "WHEEL"}]), "part 0: the segmentation is not a list"),
        (changed(parts=[{"part_name": "WHEEL", "segmentation": {"size": [1]}}]), "part 0: damaged"),
    ],
    ids=str,
)
def test_a_malformed_image_is_named(root, data, fault):
    (root / VOC / OBJECTS / f"{NAMES[2]}.json").write_text(json.dumps(data))
    with pytest.raises(SourceError, match=rf"{NAMES[2]}\.json.*{fault}"):
        PascalPartBenchmark(str(root)).check()


def test_missing_files_are_named(root):
    (root / VOC / OBJECTS / f"{NAMES[3]}.json").write_text("{")
    with pytest.raises(SourceError, match=rf"{NAMES[3]}\.json is not valid JSON"):
        PascalPartBenchmark(str(root)).check()
    (root / VOC / OBJECTS / f"{NAMES[3]}.json").unlink()
    with pytest.raises(SourceError, match=rf"{NAMES[3]}\.json is missing"):
        PascalPartBenchmark(str(root)).check()
    (root / VOC / INDEX).unlink()
    with pytest.raises(SourceError, match=r"no all_obj_part_to_image\.json in .*\n.*JPEGImages"):
        PascalPartBenchmark(str(root)).check()


def test_a_class_with_one_image_has_no_support(root):
    index = superclass_first()
    index["person"]["person+ARM"]["val"] = [NAMES[1]] * 2
    save(root, index)
    benchmark = PascalPartBenchmark(str(root))
    with pytest.raises(SourceError, match="person\\+ARM has one validation image"):
        benchmark.check()
    with pytest.raises(ConfigError, match="shot is 0"):
        benchmark.episodes("animals", Sampling(shot=0))
