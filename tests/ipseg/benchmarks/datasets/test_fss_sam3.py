import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.coco20i import Coco20iBenchmark
from ipseg.benchmarks.datasets.pascal5i import Pascal5iBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError
from ipseg.vision.masks import encode_rle

RULE = "fss-sam3"
SIDE = 100


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    """Official annotations only. Each object is a rectangle of its own, to identify it."""
    root = tmp_path_factory.mktemp("coco")
    draw = np.random.RandomState(3)
    numbers = draw.choice(500_000, 60, replace=False).tolist()
    images = [
        {"id": n, "file_name": f"COCO_val2014_{n:012d}.jpg", "height": SIDE, "width": SIDE}
        for n in numbers
    ]
    annotations = []
    for number in range(1200):
        x, y = draw.randint(0, 50, 2).tolist()
        w, h = draw.randint(10, 50, 2).tolist()
        category = 1 + number % 80  # the rule uses the order of the ids, whatever their gaps
        if category == 5 and number > 80:
            continue  # class 4 has too few supports for five shots
        crowd = int(number % 11 == 0)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[y : y + h, x : x + w] = True
        annotations.append(
            {
                "id": number + 7,
                "image_id": numbers[draw.randint(60)],
                "category_id": category,
                "iscrowd": crowd,
                "area": float(w * h),
                "segmentation": encode_rle(mask)
                if crowd
                else [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
        )
    categories = [{"id": n, "name": name} for n, name in enumerate(COCO_CLASSES, start=1)]
    (root / "val2014").mkdir()
    (root / "annotations").mkdir()
    (root / "annotations/instances_val2014.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return root


def coco_reference(path, wanted, shot, seed):
    """The release's rule with pycocotools: class, target and, with their objects, supports."""
    api = COCO(path)
    everywhere = random.Random(seed)  # noqa: S311
    for fold in range(wanted + 1):
        targets, supports = {}, {}
        for category in range(1 + fold, 81, 4):
            targets[category], supports[category] = [], []
            for image in api.getImgIds(catIds=category):
                found = api.loadAnns(api.getAnnIds(imgIds=image, catIds=category))
                if any(not a["iscrowd"] for a in found):
                    targets[category].append(image)
                if any(not a["iscrowd"] and a["area"] > 1000 for a in found):
                    supports[category].append(image)
        usable = [c for c in targets if targets[c] and len(supports[c]) >= shot + 1]
        stream = random.Random(seed + fold)  # noqa: S311
        episodes = []
        for _ in range(1000):
            category = stream.choice(usable)
            target = stream.choice(targets[category])
            chosen = stream.sample([i for i in supports[category] if i != target], shot)
            objects = []
            for image in chosen:
                found = api.loadAnns(api.getAnnIds(imgIds=image, catIds=category))
                large = [a for a in found if not a["iscrowd"] and a["area"] > 1000]
                objects.append(everywhere.choice(large))
            episodes.append((category, target, chosen, objects))
    return api, episodes


def box_of(mask):
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    return [left, top, columns.max() + 1 - left, rows.max() + 1 - top]


@pytest.mark.parametrize(("fold", "shot", "seed"), [(0, 1, 0), (2, 5, 0), (1, 1, 4)])
def test_coco_episodes_are_those_of_the_release(coco, fold, shot, seed):
    benchmark = Coco20iBenchmark(str(coco))
    benchmark.check()
    sampling = Sampling(shot=shot, seed=seed, rule=RULE)
    episodes = benchmark.episodes(str(fold), sampling)
    api, expected = coco_reference(coco / "annotations/instances_val2014.json", fold, shot, seed)
    names = {image: f"val2014/{entry['file_name']}" for image, entry in api.imgs.items()}
    assert [(e.class_id + 1, e.query.key, [s.key for s in e.supports]) for e in episodes] == [
        (category, names[target], [names[image] for image in chosen])
        for category, target, chosen, _ in expected
    ]
    for episode, (category, target, _, objects) in list(zip(episodes, expected, strict=True))[:60]:
        for support, chosen in zip(episode.supports, objects, strict=True):
            x, y, *_, y1 = chosen["segmentation"][0]
            x1 = chosen["segmentation"][0][2]
            assert box_of(read_ground_truth(support.ground_truth).mask) == [x, y, x1 - x, y1 - y]
        union = np.zeros((SIDE, SIDE), bool)
        for found in api.loadAnns(api.getAnnIds(imgIds=target, catIds=category, iscrowd=False)):
            x, y, x1, _, _, y1 = found["segmentation"][0][:6]
            union[y:y1, x:x1] = True
        np.testing.assert_array_equal(read_ground_truth(episode.query.ground_truth).mask, union)


def test_a_class_with_too_few_supports_is_never_drawn(coco):
    episodes = Coco20iBenchmark(str(coco)).episodes("0", Sampling(shot=5, rule=RULE))
    assert 4 not in {e.class_id for e in episodes}
    with pytest.raises(SourceError, match=r"instances_val2014.json: no class of fold 0 has"):
        Coco20iBenchmark(str(coco)).episodes("0", Sampling(shot=60, rule=RULE))


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    """The official VOC2012: in each image two objects of one class, and one of the next."""
    root = tmp_path_factory.mktemp("voc")
    for folder in (
        "JPEGImages",
        "SegmentationClass",
        "SegmentationObject",
        "ImageSets/Segmentation",
    ):
        (root / folder).mkdir(parents=True)
    names = []
    for number in range(80):
        labels, objects = np.zeros((2, 60, 120), np.uint8)
        c = 1 + number % 20
        for place, (class_id, rows) in enumerate([(c, 16), (c, 40), (1 + c % 20, 6)], start=1):
            area = np.s_[:rows, 40 * (place - 1) : 40 * place - 1]
            labels[area], objects[area] = class_id, place
            labels[rows, area[1]] = objects[rows, area[1]] = 255
        name = f"2008_{999 - number:06d}"
        names.append(name)
        Image.fromarray(labels).save(root / f"SegmentationClass/{name}.png")
        Image.fromarray(objects).save(root / f"SegmentationObject/{name}.png")
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    return root


@pytest.mark.parametrize(("fold", "shot"), [(0, 1), (3, 3)])
def test_pascal_episodes_are_those_of_the_release(voc, fold, shot):
    benchmark = Pascal5iBenchmark(str(voc))
    benchmark.check()
    episodes = benchmark.episodes(str(fold), Sampling(shot=shot, seed=123, rule=RULE))
    names = (voc / "ImageSets/Segmentation/val.txt").read_text().split()
    labels = {n: np.asarray(Image.open(voc / f"SegmentationClass/{n}.png")) for n in names}
    classes = range(5 * fold + 1, 5 * fold + 6)
    targets = {c: [n for n in names if (labels[n] == c).any()] for c in classes}
    supports = {c: [n for n in names if (labels[n] == c).sum() > 1000] for c in classes}
    stream = random.Random(123 + fold)  # noqa: S311
    for episode in episodes:
        c = stream.choice(list(classes))
        target = stream.choice(targets[c])
        chosen = stream.sample([n for n in supports[c] if n != target], shot)
        assert episode.class_id == c
        assert episode.query.key == f"JPEGImages/{target}.jpg"
        assert [s.key for s in episode.supports] == [f"JPEGImages/{n}.jpg" for n in chosen]
    ground_truth = read_ground_truth(episodes[0].query.ground_truth)
    assert ground_truth.ignore is None
    np.testing.assert_array_equal(
        ground_truth.mask, labels[Path(episodes[0].query.key).stem] == episodes[0].class_id
    )
    # The larger of two objects.
    assert box_of(read_ground_truth(episodes[0].supports[0].ground_truth).mask) == [40, 0, 39, 40]


def test_maps_that_contradict_each_other_are_named(voc, tmp_path):
    root = tmp_path / "VOC2012"
    for source in [*voc.rglob("*.png"), voc / "ImageSets/Segmentation/val.txt"]:
        copy = root / source.relative_to(voc)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    (root / "JPEGImages").mkdir()
    benchmark = Pascal5iBenchmark(str(root))
    for path in (root / "SegmentationObject").iterdir():
        Image.new("L", (120, 60)).save(path)
    with pytest.raises(SourceError, match=r"SegmentationObject/.*.png has no object where"):
        benchmark.episodes("0", Sampling(rule=RULE))
    for path in (root / "SegmentationObject").iterdir():
        Image.new("L", (6, 5)).save(path)
    with pytest.raises(SourceError, match="differ in size"):
        benchmark.episodes("0", Sampling(rule=RULE))
    Image.new("L", (120, 60), 21).save(root / "SegmentationClass/2008_000999.png")
    with pytest.raises(SourceError, match=r"2008_000999.png contains the value 21"):
        Pascal5iBenchmark(str(root)).episodes("0", Sampling(rule=RULE))
