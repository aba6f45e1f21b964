import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.pascal_zero_shot import PascalContextBenchmark, PascalVocBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError


def kit(root, maps, split, values):
    """Two images, each with a row of every value."""
    for folder in ("JPEGImages", maps, split.rpartition("/")[0]):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("2008_000001", "2008_000002"):
        Image.new("RGB", (4, len(values))).save(root / "JPEGImages" / f"{name}.jpg")
        labels = np.repeat(np.array(values, np.uint8)[:, None], 4, axis=1)
        Image.fromarray(labels).save(root / maps / f"{name}.png")
    (root / split).write_text("2008_000001\n2008_000002\n")


def context(root, values):
    kit(root, "SegmentationClassContext", "ImageSets/SegmentationContext/val.txt", values)
    return PascalContextBenchmark(str(root))


def test_context_numbers_are_those_of_the_converter(tmp_path):
    context(tmp_path / "VOCdevkit" / "VOC2010", [0, 15, 20, 34, 49, 59])
    benchmark = PascalContextBenchmark(str(tmp_path))
    benchmark.check()
    assert benchmark.classes("val") == {15: "cat", 20: "cow", 34: "motorbike", 49: "sofa"}
    episodes = benchmark.episodes("val", Sampling(exclude_prompt=False))
    assert len(episodes) == 8
    for row, episode in enumerate(episodes[::2], start=1):
        ground_truth = read_ground_truth(episode.query.ground_truth)
        assert ground_truth.mask.sum() == ground_truth.mask[row].sum() == 4
        assert ground_truth.ignore is None  # pixels of none of the 59 classes are background


@pytest.mark.parametrize("value", [60, 255])
def test_context_maps_of_another_converter_are_refused(tmp_path, value):
    with pytest.raises(SourceError, match=rf"000001\.png contains the value {value}: .* 0 to 59"):
        context(tmp_path, [0, 15, value]).check()


@pytest.mark.parametrize("value", [21, 220])
def test_voc_maps_with_more_classes_are_refused(tmp_path, value):
    kit(tmp_path, "SegmentationClass", "ImageSets/Segmentation/val.txt", [0, 16, value])
    with pytest.raises(SourceError, match=rf"contains the value {value}: .* 0 to 20 and 255"):
        PascalVocBenchmark(str(tmp_path)).check()
