"""A miniature of the released layout: two pickles, 17 part classes, boxes of all kinds."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.annotated import crop_of
from ipseg.benchmarks.datasets.paco_part import PacoPartBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import ConfigError, SourceError

CLASSES = [*range(60, 43, -1)]  # 17: of the training set, in its order
ONLY_VAL = 99


def annotation(instance, box, rows):
    """A part that fills some rows of an image of 12 x 10."""
    mask = np.zeros((10, 12), np.uint8)
    mask[rows[0] : rows[1]] = 1
    return {"segmentation": mask, "obj_ann_id": instance, "obj_bbox": box}


def path_of(number):
    return f"val2017/{number:012}.jpg"


def val_images(class_id):
    """Class 53 has a single image, the others three."""
    return [path_of(class_id + n) for n in range(1 if class_id == 53 else 3)]


def val_entry(class_id):
    return {
        "annotations": [
            annotation(class_id * 10 + 1, [2.9, 1.9, 5.2, 6.2], (0, 2)),
            annotation(class_id * 10 + 2, [0, 0, 12, 10], (4, 6)),
            annotation(class_id * 10 + 1, [2.9, 1.9, 5.2, 6.2], (8, 9)),
        ]
    }


@pytest.fixture
def root(tmp_path):
    (tmp_path / "PACO-Part/paco").mkdir(parents=True)
    (tmp_path / "PACO-Part/coco/val2017").mkdir(parents=True)
    Image.new("RGB", (12, 10)).save(tmp_path / "PACO-Part/coco" / path_of(60))
    save(tmp_path, {c: {i: val_entry(c) for i in val_images(c)} for c in [ONLY_VAL, *CLASSES]})
    return tmp_path


def save(root, val):
    folder = root / "PACO-Part/paco"
    train = {c: {"train2017/000000000001.jpg": val_entry(c)} for c in CLASSES}
    (folder / "paco_part_train.pkl").write_bytes(pickle.dumps(train))
    (folder / "paco_part_val.pkl").write_bytes(pickle.dumps(val))
    (folder / "paco_part_val.parquet").unlink(missing_ok=True)


def test_training_classes_are_dealt_to_four_folds_and_kept_with_enough_images(root):
    benchmark = PacoPartBenchmark(str(root))
    benchmark.check()
    assert benchmark.folds == ("0", "1", "2", "3")
    assert [list(benchmark.classes(fold)) for fold in benchmark.folds] == [
        [60, 56, 52, 48],  # not 44, the 17th
        [59, 55, 51, 47],
        [58, 54, 50, 46],
        [57, 49, 45],  # not 53, of which there is one image
    ]
    with pytest.raises(SourceError, match="no class of fold 0 has more than 3"):
        PacoPartBenchmark(str(root), shot=3).check()
    with pytest.raises(ConfigError, match="open it with shot=2"):
        benchmark.episodes("0", Sampling(shot=2))


def test_episodes_are_drawn_class_images_objects(root):
    benchmark = PacoPartBenchmark(str(root), shot=2)
    episodes = benchmark.episodes("3", Sampling(shot=2, seed=5))
    assert len(episodes) == 2500
    draw = np.random.RandomState(5)

    def choose(items):
        return items[draw.choice(len(items), 1, replace=False)[0]]

    for episode in episodes:
        class_id = choose([57, 49, 45])
        images = val_images(class_id)
        names = [choose(images)]
        while len(names) < 3:
            name = choose(images)
            if name != names[0]:
                names.append(name)
        boxes = [choose(["2,1,8,8", "0,0,12,10"]) for _ in names]
        assert episode.class_id == class_id
        assert [e.key for e in (episode.query, *episode.supports)] == [
            f"{name}#{box}" for name, box in zip(names, boxes, strict=True)
        ]


def test_the_ground_truth_is_the_part_of_that_object_in_the_whole_image(root):
    for episode in PacoPartBenchmark(str(root)).episodes("0", Sampling())[:20]:
        mask = read_ground_truth(episode.query.ground_truth).mask
        rows = [0, 1, 8] if episode.query.crop == (2, 1, 8, 8) else [4, 5]
        assert mask.shape == (10, 12)
        np.testing.assert_array_equal(np.flatnonzero(mask.all(axis=1)), rows)
        assert mask.sum() == 12 * len(rows)
        assert episode.query.uri.startswith(f"{root}/PACO-Part/coco/val2017/")


def with_bad_boxes(root, box, rows):
    entry = {"annotations": [annotation(1, box, rows), annotation(2, [0, 0, 9, 9], (2, 3))]}
    save(root, {c: dict.fromkeys(val_images(c), entry) for c in CLASSES})
    return PacoPartBenchmark(str(root))


@pytest.mark.parametrize(
    ("box", "crop"),
    [([3.1, 2.0, 0.8, 5.0], (3, 2, 3, 7)), ([3.0, 2.9, 4.0, 0.05], (3, 2, 7, 2))],
)
def test_an_empty_crop_stays_in_the_list_with_its_box(root, box, crop):
    benchmark = with_bad_boxes(root, box, (0, 9))
    episodes = benchmark.episodes("0", Sampling())
    assert len(episodes) == 2500
    drawn = {episode.query.crop for episode in episodes}
    assert drawn == {crop, (0, 0, 9, 9)}


@pytest.mark.parametrize(
    ("box", "rows"),
    [([3.1, 2.0, 0.8, 5.0], (0, 9)), ([0, 5, 12, 5], (0, 4))],
    ids=["no image", "no part"],
)
def test_resampling_leaves_out_empty_crops_and_changes_later_episodes(root, box, rows):
    benchmark = with_bad_boxes(root, box, rows)
    episodes = benchmark.episodes("0", Sampling(rule="resample-empty"))
    crops = {e.crop for episode in episodes for e in (episode.query, *episode.supports)}
    assert crops == {(0, 0, 9, 9)}
    plain = benchmark.episodes("0", Sampling())
    assert [e.class_id for e in episodes] != [e.class_id for e in plain]
    assert benchmark.protocol_of("resample-empty") == Protocol(formula="A", side=1024)


def test_resampling_stops_if_all_crops_are_empty(root):
    entry = {"annotations": [annotation(1, [3, 2, 0, 5], (0, 9))]}
    save(root, {c: dict.fromkeys(val_images(c), entry) for c in CLASSES})
    with pytest.raises(SourceError, match="hardly any crop contains"):
        PacoPartBenchmark(str(root)).episodes("0", Sampling(rule="resample-empty"))


def test_without_empty_crops_resampling_changes_nothing(root):
    benchmark = PacoPartBenchmark(str(root))
    for fold in benchmark.folds:
        plain = benchmark.episodes(fold, Sampling())
        assert benchmark.episodes(fold, Sampling(rule="resample-empty")) == plain


CORNER = st.floats(-30, 30)


@given(CORNER, CORNER, CORNER, CORNER, st.integers(1, 20), st.integers(1, 20))
@example(-0.5, -0.5, 0.99, 0.99, 10, 10)
@example(5, 5, 1, 1, 10, 10)
def test_a_crop_is_ordered_and_inside_of_the_image(x0, y0, x1, y1, height, width):
    left, top, right, bottom = crop_of((x0, y0, x1, y1), height, width)
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    if 0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height:
        assert (left, top, right, bottom) == tuple(map(math.floor, (x0, y0, x1, y1)))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"obj_bbox": None}, r"obj_bbox: None is not a box \[x, y, width, height\]"),
        ({"obj_bbox": [1, 2, 3]}, "is not a box"),
        ({"obj_bbox": [1, 2, 3, float("inf")]}, "is not a box"),
        ({"obj_ann_id": "7"}, "obj_ann_id is '7', not a whole number"),
        ({"segmentation": None}, "not a list of polygons"),
    ],
)
def test_a_malformed_annotation_is_named_with_its_file(root, change, fault):
    entry = val_entry(50)
    entry["annotations"][1].update(change)
    save(root, {50: {path_of(1): entry}})
    place = rf"paco_part_val\.pkl: class 50, image '{path_of(1)}', annotation 1"
    with pytest.raises(SourceError, match=f"{place}.*{fault}"):
        PacoPartBenchmark(str(root)).check()


def test_masks_of_different_sizes_are_refused(root):
    entry = val_entry(60)
    entry["annotations"][2]["segmentation"] = np.ones((3, 3))
    save(root, {c: dict.fromkeys(val_images(c), entry) for c in CLASSES})
    with pytest.raises(SourceError, match="differ in size: 10x12, 3x3"):
        PacoPartBenchmark(str(root)).episodes("0", Sampling())


def test_both_pickles_are_needed(root):
    (root / "PACO-Part/paco/paco_part_train.pkl").unlink()
    with pytest.raises(SourceError, match=r"no annotations, of both train and val, in .*\n.*coco"):
        PacoPartBenchmark(str(root)).check()
