"""YOLO's files by the rules of ultralytics 8.4: checker, loader, and what its reader fills."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline.export.formats.yolo import TOO_SMALL
from pipeline.export.writer import JOINED, REPEATED, SPLIT

LEAST_IOU = {"two parts": 0.98}  # the joining line; all others come back exactly


def label_file(image):
    """As ultralytics finds it: the last folder `images` is replaced."""
    before, _, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    return Path(f"{before}{os.sep}labels{os.sep}{after}").with_suffix(".txt")


def read_rows(file, width=128, height=96):
    """(class, (n, 2) pixels) of each row, refused where ultralytics would refuse it."""
    rows = []
    for line in file.read_text().splitlines():
        number, *values = line.split(" ")
        assert number.isdigit()
        points = np.array(values, float).reshape(-1, 2)
        assert len(points) >= 3
        assert points.min() >= 0
        assert points.max() <= 1
        rows.append((int(number), points * (width, height)))
    return rows


def filled(points, to_pixels=np.trunc):
    canvas = np.zeros((96, 128), np.uint8)
    cv2.fillPoly(canvas, [to_pixels(points).astype(np.int32)], 1)
    return canvas > 0


def images_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_image_has_labels_that_give_its_masks_back(exported, labelled, masks, iou):
    done, folder = exported("yolo-seg", split="train=0.5,val=0.5")
    images = images_below(folder / "images")
    assert len(images) == len(labelled)
    for image in images:
        name = image.relative_to(folder / "images").as_posix().partition("/")[2]
        key = next(k for k in labelled if k.rpartition(".")[0] == name.rpartition(".")[0])
        rows = read_rows(label_file(image))
        assert len(rows) == len(labelled[key])
        for (mask, concept, _), (number, points) in zip(labelled[key], rows, strict=True):
            assert number == ["cup", "ümlaut <b>"].index(concept)
            for to_pixels in (np.trunc, np.round):  # ultralytics, supervision
                assert iou(filled(points, to_pixels), masks[mask]) >= LEAST_IOU.get(mask, 1), mask
    assert label_file(next(i for i in images if i.name == "empty.png")).read_text() == ""
    assert (done.lost[JOINED], done.lost[TOO_SMALL]) == (1, 1)


def test_data_yaml_names_sides_and_concepts_and_no_path(exported):
    _, folder = exported("yolo-seg", split="train=0.5,val=0.5")
    assert yaml.safe_load((folder / "data.yaml").read_text()) == {
        **{"train": "images/train", "val": "images/val"},
        "names": {0: "cup", 1: "ümlaut <b>"},
    }
    _, alone = exported("yolo-seg")
    assert yaml.safe_load((alone / "data.yaml").read_text())["val"] == "images/train"


def test_parts_can_be_rows_of_their_own(exported, masks, iou):
    done, folder = exported("yolo-seg", parts="split")
    rows = read_rows(folder / "labels/train/deep/er/käse.txt")
    assert len(rows) == 2
    assert iou(filled(rows[0][1]) | filled(rows[1][1]), masks["two parts"]) == 1
    assert done.lost[SPLIT] == 1


def test_names_that_would_meet_get_different_labels(bare_world, masks):
    from PIL import Image

    keys = ["x/a.jpg", "x/a.png", "X/A.JPG", "images/a.png", "../../a.png", "a\nb<script>.png"]
    for key in keys:
        path = bare_world.images / key.replace("../", "up/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bare_world.seen["pair.png"]).convert("RGB").save(path)
    (bare_world.images / "up").rename(bare_world.root / "up")
    rows = {key: [("disc", "cup", 0.5)] for key in keys}
    (bare_world.root / "up/up/a.png").rename(bare_world.root / "photos" / "up.png")
    bare_world.write({**rows}, broken=(), concepts=("cup",))
    # The row with `../` in its key has its image where its address says.
    done, folder = bare_world.export("yolo-seg")
    images = images_below(folder / "images/train")
    assert done.tally.left_out == 1, done.tally.examples
    assert len(images) == 5
    labels = [label_file(image) for image in images]
    assert len({str(label).lower() for label in labels}) == 5
    assert all(label.read_text().startswith("0 ") for label in labels)
    assert not list(folder.rglob("*<*"))


def test_the_same_outline_twice_is_one_row(bare_world):
    twice = [("disc", "cup", 0.5), ("disc", "cup", 0.4)]
    bare_world.write({"pair.png": twice}, broken=(), concepts=("cup",))
    done, folder = bare_world.export("yolo-seg")
    assert len(read_rows(folder / "labels/train/pair.txt")) == 1
    assert done.lost[REPEATED] == 1


@pytest.mark.filterwarnings("ignore")
def test_ultralytics_checks_and_loads_it(exported, labelled, masks, iou, tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    pytest.importorskip("ultralytics", reason="ultralytics (AGPL-3.0) is not installed")
    import shutil

    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset, polygon2mask, verify_image_label

    _, folder = exported("yolo-seg", split="train=0.5,val=0.5")
    copy = tmp_path / "copy"  # it writes caches beside the labels
    shutil.copytree(folder, copy)
    data = check_det_dataset(str(copy / "data.yaml"), autodownload=False)
    assert data["names"] == {0: "cup", 1: "ümlaut <b>"}
    for image in images_below(copy / "images"):
        found = verify_image_label((str(image), str(label_file(image)), "", False, 2, 0, 0, False))
        assert found[-2] == 0, found[-1]
        assert not found[-1]
        name = image.relative_to(copy / "images").as_posix().partition("/")[2]
        key = next(k for k in labelled if k.rpartition(".")[0] == name.rpartition(".")[0])
        for (mask, _, _), segment in zip(labelled[key], found[3], strict=True):
            pixels = (segment * np.array([128, 96])).ravel()
            back = polygon2mask((96, 128), [pixels])
            assert iou(back, masks[mask]) >= LEAST_IOU.get(mask, 1), mask
    seen = 0
    for side in ("train", "val"):
        loaded = YOLODataset(
            img_path=str(copy / "images" / side), data=data, task="segment", augment=False
        )
        seen += sum(1 for _ in (loaded[n] for n in range(len(loaded))))
    assert seen == len(labelled)
