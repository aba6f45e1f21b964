import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.coco_stuff import CocoStuffBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError

IDS = (21, 25, 33, 34, 41, 57, 87, 100, 106, 124, 145, 148, 149, 169, 172)
# The same classes as mmsegmentation's converter numbers them.
CONVERTED = (19, 23, 28, 29, 36, 51, 76, 88, 94, 112, 133, 136, 137, 157, 160)


@pytest.fixture
def root(tmp_path):
    """Two images with one row for each unseen class, and one of unlabeled pixels."""
    for folder in ("images/val2017", "annotations/val2017"):
        (tmp_path / "coco_stuff164k" / folder).mkdir(parents=True)
    for name in ("000000000139", "000000000285"):
        image = tmp_path / "coco_stuff164k" / "images" / "val2017" / f"{name}.jpg"
        Image.new("RGB", (4, 16)).save(image)
    return tmp_path


def label_maps(root, values, suffix=""):
    labels = np.repeat(np.array([*values, 255], np.uint8)[:, None], 4, axis=1)
    for name in ("000000000139", "000000000285"):
        folder = root / "coco_stuff164k" / "annotations" / "val2017"
        Image.fromarray(labels).save(folder / f"{name}{suffix}.png")


def assert_rows(root):
    benchmark = CocoStuffBenchmark(str(root))
    benchmark.check()
    assert tuple(benchmark.classes("val")) == IDS
    episodes = benchmark.episodes("val", Sampling(exclude_prompt=False))
    assert [e.class_id for e in episodes] == [i for i in IDS for _ in range(2)]
    for row, episode in enumerate(episodes[::2]):
        ground_truth = read_ground_truth(episode.query.ground_truth)
        assert ground_truth.mask.sum() == ground_truth.mask[row].sum() == 4
        assert ground_truth.ignore.sum() == ground_truth.ignore[-1].sum() == 4


def test_published_maps_contain_the_id_minus_one(root):
    label_maps(root, [i - 1 for i in IDS])
    assert_rows(root)


def test_converted_maps_are_read_if_there_are_no_others(root):
    label_maps(root, CONVERTED, "_labelTrainIds")
    assert_rows(root)
    label_maps(root, [i - 1 for i in IDS])
    assert_rows(root)


@pytest.mark.parametrize("value", [25, 182, 254])  # giraffe without the offset; beyond the last id
def test_a_value_without_a_class_is_refused(root, value):
    label_maps(root, [i - 1 for i in IDS[:-1]] + [value])
    with pytest.raises(SourceError, match=rf"139\.png contains the value {value}: .* id - 1"):
        CocoStuffBenchmark(str(root)).check()


def test_what_is_missing_is_named(root):
    with pytest.raises(SourceError, match=r"139\.png is missing, and so is .*_labelTrainIds\.png"):
        CocoStuffBenchmark(str(root)).check()
    for image in (root / "coco_stuff164k" / "images" / "val2017").iterdir():
        image.unlink()
    with pytest.raises(SourceError, match=r"images/val2017 contains no \.jpg"):
        CocoStuffBenchmark(str(root)).check()
    with pytest.raises(SourceError, match=r"(?s)no images/val2017/, annotations/val2017/ in"):
        CocoStuffBenchmark(str(root / "x")).check()
