import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from coco_kit import HEIGHT, WIDTH, write
from PIL import Image

from ipseg.benchmarks.annotations.coco_splits import read_split
from ipseg.benchmarks.annotations.prepare_coco import prepare
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.coco20i import Coco20iBenchmark
from ipseg.benchmarks.dropped import Dropped
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError
from ipseg.storage.files import write_whole


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


def test_what_is_prepared_is_a_complete_benchmark(root):
    before = Coco20iBenchmark(str(root))
    with pytest.raises(SourceError, match="prepare coco-20i"):
        before.episodes("0", Sampling())
    calls = []
    written = prepare(str(root), progress=lambda *call: calls.append(call))
    assert len(written) == len(set(written)) == 2 * (4 + 4)
    assert all(Path(file).is_file() for file in written)
    assert calls == 2 * [(n, 4) for n in range(1, 5)]
    benchmark = Coco20iBenchmark(str(root))
    benchmark.check()
    for episode in benchmark.episodes("2", Sampling())[:20]:
        rows, _ = np.nonzero(read_ground_truth(episode.query.ground_truth).mask[:, :60])
        assert set(rows) == {episode.class_id}


def test_a_label_map_holds_contiguous_ids_plus_one(root):
    prepare(str(root))
    path = root / "data/MSCOCO2014/annotations/val2014/COCO_val2014_000000000003.png"
    labels = np.asarray(Image.open(path))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[:, :60], np.arange(1, 81)[:, None].repeat(60, axis=1))
    # Crowds are below everything; else later objects in the file are on top.
    assert (labels[0, 60], labels[0, 95], labels[0, 105], labels[0, 115]) == (8, 4, 4, 8)


def test_splits_list_test_classes_and_training_classes(root):
    prepare(str(root))
    for fold in range(4):
        splits = root / "data/MSCOCO2014/splits"
        val = read_split(f"{splits}/val/fold{fold}.parquet")
        trn = read_split(f"{splits}/trn/fold{fold}.parquet")
        assert set(val) == set(range(fold, 80, 4))
        assert set(trn) == set(range(80)) - set(val)
        assert all(
            names == [f"val2014/COCO_val2014_{n:012d}.jpg" for n in range(1, 5)]
            for names in val.values()
        )
        assert trn[79 if fold != 3 else 78][0] == "train2014/COCO_train2014_000000000001.jpg"


def test_an_interrupted_call_continues_and_keeps_existing_files(root):
    first = prepare(str(root))
    maps = [file for file in first if file.endswith(".png")]
    times = {file: Path(file).stat().st_mtime_ns for file in maps[1:]}
    Path(maps[0]).unlink()
    assert prepare(str(root)) == [maps[0]]
    assert times == {file: Path(file).stat().st_mtime_ns for file in maps[1:]}


def test_an_official_split_is_converted_with_its_order(root):
    base = root / "data/MSCOCO2014"
    names = [f"val2014/COCO_val2014_{n:012d}.jpg" for n in (3, 1, 2)]
    lists = {c: names if c % 4 == 1 else [] for c in range(80)}
    write_whole(f"{base}/splits/val/fold1.pkl", pickle.dumps(lists))
    expected = Coco20iBenchmark(str(root))
    prepare(str(root))
    converted = read_split(f"{base}/splits/val/fold1.parquet")
    assert converted == dict.fromkeys(range(1, 80, 4), names)
    before = expected.episodes("1", Sampling(shot=5))
    (base / "splits/val/fold1.pkl").unlink()
    prepare(str(root))
    assert Coco20iBenchmark(str(root)).episodes("1", Sampling(shot=5)) == before


def test_pickles_are_converted_without_annotations_too(tmp_path):
    lists = {c: ["val2014/COCO_val2014_000000000001.jpg"] for c in range(0, 80, 4)}
    write_whole(f"{tmp_path}/COCO2014/splits/val/fold0.pkl", pickle.dumps(lists))
    (written,) = prepare(str(tmp_path), out=f"{tmp_path}/out")
    assert written == f"{tmp_path}/out/splits/val/fold0.parquet"
    assert read_split(written) == lists


def test_another_folder_can_be_written_to_and_training_data_may_be_missing(root):
    (root / "data/MSCOCO2014/annotations/instances_train2014.json").unlink()
    written = prepare(str(root), out=f"{root}/out/")
    assert len(written) == 8
    assert all(file.startswith(f"{root}/out/") for file in written)
    assert not (root / "data/MSCOCO2014/splits").exists()


def test_a_label_map_with_an_invalid_value_is_named(root):
    path = root / "data/MSCOCO2014/annotations/val2014/COCO_val2014_000000000002.png"
    path.parent.mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 81, np.uint8)).save(path)
    with pytest.raises(SourceError, match=r"000000000002.png contains the value 81: .*ids plus 1"):
        prepare(str(root))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(SourceError, match=r"000000000002.png cannot be used"):
        prepare(str(root))


def test_missing_official_annotations_are_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"no annotations/instances_val2014.json in"):
        prepare(str(tmp_path))


def change(part, number, **values):
    return lambda found: found[part][number].update(values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda found: found.pop("images"), "val2014.json has no list 'images'"),
        (lambda found: found.pop("annotations"), "val2014.json has no list 'annotations'"),
        (lambda found: found["categories"].pop(), "val2014.json has 79 categories"),
        (change("categories", 5, name="dragon"), "val2014.json has 80 categories that are not"),
        (change("images", 0, file_name="../x.jpg"), "val2014.json: image 69 is named '../x.jpg'"),
        (change("images", 0, height=0), "val2014.json: image 69 has an invalid size of 0 x 120"),
        (change("images", 0, width="wide"), "val2014.json: image 69: width is 'wide'"),
        (change("images", 0, id=None), "val2014.json: image None: id is None"),
        (
            change("annotations", 1, image_id=5),
            "annotation 1 refers to image 5, which is not listed",
        ),
        (change("annotations", 1, category_id=12), "annotation 1 refers to category 12"),
        (change("annotations", 1, area=None), "annotation 1 has no area"),
        (
            change("annotations", 1, segmentation=[[1, 2, 3]]),
            "annotation 1: a polygon without x, y",
        ),
        (
            change("annotations", -1, segmentation={"size": [2, 2], "counts": [4]}),
            r"annotation 901 has a mask of \[2, 2\], but an image of \[80, 120\]",
        ),
    ],
)
def test_malformed_annotations_are_named(root, edit, message):
    path = root / "data/MSCOCO2014/annotations/instances_val2014.json"
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found))
    with pytest.raises(SourceError, match=message):
        prepare(str(root), dropped=Dropped(strict=True))


def test_truncated_annotations_are_named(root):
    path = root / "data/MSCOCO2014/annotations/instances_val2014.json"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SourceError, match=r"instances_val2014.json is not valid JSON"):
        prepare(str(root))
