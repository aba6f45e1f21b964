"""A miniature of the released layout: pickle of 23 classes, images of 12 x 10 pixels."""

import logging
import pickle

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.lvis92i import Lvis92iBenchmark
from ipseg.benchmarks.episode import from_table, to_table
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import ConfigError, SourceError
from ipseg.vision.masks import encode_rle

SQUARE = [2.0, 3.0, 6.0, 3.0, 6.0, 8.0, 2.0, 8.0]  # pixels 2..5 x 3..7
CLASSES = [*range(90, 50, -2), 7, 5, 3]  # not sorted: the dictionary's order counts
FEW = {88: 1, 84: 2}  # images of the class; the others have 3 or 4


def entry(*segmentations):
    return {"annotations": [{"segmentation": s} for s in segmentations]}


def images_of(class_id):
    count = FEW.get(class_id, 3 + class_id % 2)
    return [f"val2017/{(class_id * 7 + 5 * n) % 40:012}.jpg" for n in range(count)]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "LVIS"
    (folder / "coco/val2017").mkdir(parents=True)
    for number in range(40):
        Image.new("RGB", (12, 10)).save(folder / f"coco/val2017/{number:012}.jpg")
    save(tmp_path, {c: {image: entry([SQUARE]) for image in images_of(c)} for c in CLASSES})
    return tmp_path


def save(root, data):
    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(data))
    (root / "LVIS/lvis_val.parquet").unlink(missing_ok=True)


def expected(class_ids, shot, seed):
    """Class in turn; query, then supports until enough are not the query, with numpy's globals."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        for number in range(25 * len(class_ids)):
            images = images_of(class_ids[number % len(class_ids)])
            query = np.random.choice(images, 1, replace=False)[0]
            supports = []
            while len(supports) < shot:
                support = np.random.choice(images, 1, replace=False)[0]
                if support != query:
                    supports.append(support)
            yield class_ids[number % len(class_ids)], query, supports
    finally:
        np.random.set_state(state)


@pytest.mark.parametrize(("fold", "shot", "seed"), [("0", 1, 0), ("9", 1, 3), ("1", 2, 0)])
def test_episodes_are_those_of_numpys_global_generator(root, fold, shot, seed):
    benchmark = Lvis92iBenchmark(str(root), shot=shot)
    benchmark.check()
    kept = [c for c in CLASSES if len(images_of(c)) > shot]
    class_ids = kept[int(fold) :: 10][: len(kept) // 10]
    assert list(benchmark.classes(fold)) == class_ids
    episodes = benchmark.episodes(fold, Sampling(shot=shot, seed=seed))
    assert [(e.class_id, e.query.key, [s.key for s in e.supports]) for e in episodes] == list(
        expected(class_ids, shot, seed)
    )
    assert [e.episode for e in episodes] == list(range(25 * len(class_ids)))
    assert {(e.fold, e.seed, e.shot, e.query.crop) for e in episodes} == {(fold, seed, shot, None)}
    assert episodes[0].query.uri == f"{root}/LVIS/coco/{episodes[0].query.key}"
    assert from_table(to_table(episodes)) == episodes


def test_classes_of_a_fold_change_with_the_shots(root):
    one, two = Lvis92iBenchmark(str(root)), Lvis92iBenchmark(str(root), shot=2)
    assert len(one.folds) == len(two.folds) == 10
    assert [88 in one.classes(fold) for fold in one.folds] == [False] * 10  # it has one image
    assert one.classes("0") == {90: "90", 68: "68"}
    assert any(one.classes(fold) != two.classes(fold) for fold in one.folds)
    dealt = [c for fold in one.folds for c in one.classes(fold)]
    assert len(dealt) == len(set(dealt)) == 20  # of 22 classes, two are left over
    with pytest.raises(ConfigError, match="open it with shot=5"):
        one.episodes("0", Sampling(shot=5))


def test_the_ground_truth_is_the_union_of_instances_in_any_format(root):
    spot = np.zeros((10, 12), np.uint8)
    spot[0, 0] = 1
    column = {"size": [10, 12], "counts": [110, 10]}  # the last column, uncompressed
    first = np.zeros((10, 12), bool)
    first[:, 0] = True
    compressed = encode_rle(first)
    compressed["counts"] = compressed["counts"].encode()
    data = {c: {image: entry([SQUARE]) for image in images_of(c)} for c in CLASSES}
    data[90] = {
        image: entry([SQUARE, [0, 9, 3, 9, 3, 10, 0, 10]], spot, column) for image in data[90]
    }
    data[68] = {image: entry(compressed) for image in data[68]}
    save(root, data)
    first, second = Lvis92iBenchmark(str(root)).episodes("0", Sampling())[:2]
    union = np.zeros((10, 12), bool)
    union[3:8, 2:6] = union[9:, :3] = union[0, 0] = union[:, -1] = True
    np.testing.assert_array_equal(read_ground_truth(first.query.ground_truth).mask, union)
    np.testing.assert_array_equal(read_ground_truth(second.query.ground_truth).mask[:, 0], True)
    assert read_ground_truth(second.query.ground_truth).mask.sum() == 10


def test_the_pickle_is_read_once_and_the_table_afterwards(root):
    before = Lvis92iBenchmark(str(root)).episodes("3", Sampling())
    assert (root / "LVIS/lvis_val.parquet").exists()
    (root / "LVIS/lvis_val.pkl").unlink()
    assert Lvis92iBenchmark(f"{root}/").episodes("3", Sampling()) == before
    inside = Lvis92iBenchmark(f"{root}/LVIS")
    inside.check()
    assert inside.episodes("3", Sampling()) == before


def test_in_a_read_only_folder_the_pickle_is_read_each_time(root, caplog):
    before = Lvis92iBenchmark(str(root)).episodes("3", Sampling())
    table = root / "LVIS/lvis_val.parquet"
    table.unlink()

    class ReadOnly(Lvis92iBenchmark):
        table_file = (
            "lvis_val.pkl/no-folder.parquet"  # not writable even for root: a file is in the way
        )

    with caplog.at_level(logging.WARNING, "ipseg"):
        assert ReadOnly(str(root)).episodes("3", Sampling()) == before
    assert "ipseg data prepare lvis-92i --out DIR" in caplog.text


def test_polygons_take_sizes_from_the_entry_before_the_image(root):
    data = {c: {image: entry([SQUARE]) for image in images_of(c)} for c in CLASSES}
    for images in data.values():
        for image in images.values():
            image.update(height=20, width=30)
    save(root, data)
    (query, *_) = [e.query for e in Lvis92iBenchmark(str(root)).episodes("0", Sampling())]
    assert read_ground_truth(query.ground_truth).mask.shape == (20, 30)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ([[1, 2, 3]], "three corners"),
        ([[1, 2, 3, 4, 5, float("nan")]], "far outside"),
        ([[1, 2, 3, 4, 5, 1e9]], "far outside"),
        ([], "not a list of polygons"),
        ("0:f3", "not a list of polygons"),
        ({"size": [10, 12]}, "'counts'"),
        ({"size": [10, 12], "counts": [1, 2]}, "do not fill 10 x 12"),
        ({"size": [10, 12], "counts": "0:f"}, "damaged segmentation"),
        (np.zeros((2, 2, 3)), r"is \(H, W\)"),
        (None, "not a list of polygons"),
    ],
    ids=str,
)
def test_a_malformed_mask_is_named_with_its_file(root, broken, fault):
    save(root, {3: {"val2017/000000000001.jpg": entry([SQUARE], broken)}})
    place = r"lvis_val\.pkl: class 3, image 'val2017/000000000001\.jpg', annotation 1"
    with pytest.raises(SourceError, match=f"{place}: .*{fault}"):
        Lvis92iBenchmark(str(root), strict=True).check()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ([], "is not a dictionary of classes"),
        ({"cup": {}}, "'cup' is not a class id"),
        ({3: {"val2017/1.jpg": []}}, "no list 'annotations'"),
        ({3: {"val2017/1.jpg": {"annotations": []}}}, "no list 'annotations'"),
        ({3: {"val2017/1.jpg": {"annotations": [0]}}}, "annotation 0 is not a dictionary"),
        ({3: {7: entry([SQUARE])}}, "not a path"),
        ({3: {"../../etc/passwd": entry([SQUARE])}}, "must be below"),
        ({3: {"val2017/no.jpg": entry([SQUARE])}}, "val2017/no.jpg is missing; its size"),
        ({3: {"val2017/000000000001.jpg": entry([SQUARE])}}, "0 classes have more than 1"),
    ],
    ids=str,
)
def test_a_pickle_of_another_shape_is_refused(root, data, fault):
    save(root, data)
    with pytest.raises(SourceError, match=fault):
        Lvis92iBenchmark(str(root)).check()


def test_a_pickle_with_code_is_refused(root):
    save(root, {3: {"val2017/1.jpg": entry(print)}})
    with pytest.raises(SourceError, match=r"lvis_val\.pkl is not plain data: .*print"):
        Lvis92iBenchmark(str(root)).check()


def test_the_error_about_missing_files_has_the_layout(tmp_path):
    with pytest.raises(SourceError, match=f"val2017 or train2017 in {tmp_path}/LVIS/coco"):
        Lvis92iBenchmark(str(tmp_path)).check()
    (tmp_path / "LVIS/coco/val2017").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"no annotations in .*\n(.*\n)*.*lvis_v1_val\.json"):
        Lvis92iBenchmark(str(tmp_path)).check()


def test_a_damaged_table_is_named(root):
    table = root / "LVIS/lvis_val.parquet"
    table.write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(SourceError, match=r"lvis_val\.parquet is damaged"):
        Lvis92iBenchmark(str(root)).check()


def test_unknown_rules_and_impossible_seeds_are_refused(root):
    benchmark = Lvis92iBenchmark(str(root))
    with pytest.raises(SourceError, match="no sampling rule 'other'"):
        benchmark.episodes("0", Sampling(rule="other"))
    with pytest.raises(ConfigError, match="seed is -1"):
        benchmark.episodes("0", Sampling(seed=-1))
    assert benchmark.protocol_of("") == Protocol(formula="A", side=518)
