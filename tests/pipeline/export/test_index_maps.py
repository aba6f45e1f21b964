"""Maps of indices: PNG with a palette, and PASCAL VOC as torchvision reads it."""

import json
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ipseg.errors import ConfigError
from ipseg.vision.painting import palette
from pipeline.export.writer import COVERED, HIDDEN


def test_the_palette_is_that_of_voc():
    colours = palette()
    known = {1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 255: (224, 224, 192)}
    assert {n: tuple(colours[n].tolist()) for n in known} == known


def test_indices_are_concepts_and_sums_are_areas(exported, labelled, masks):
    done, folder = exported("png")
    table = pq.read_table(folder / "instances/train.parquet").to_pylist()
    for key, objects in labelled.items():
        stem = key.rpartition(".")[0]
        opened = Image.open(folder / f"semantic/train/{stem}.png")
        assert opened.mode == "P"
        classes = np.array(opened)
        assert set(np.unique(classes)) <= {0, 1, 2}
        union = np.zeros_like(classes, bool)
        for name, _, _ in objects:
            union |= masks[name]
        assert np.array_equal(classes > 0, union), "pixels are lost to other objects alone"
        numbers = np.array(Image.open(folder / f"instances/train/{stem}.png"))
        rows = [row for row in table if row["file_name"] == f"{stem}.png"]
        assert [row["area"] for row in rows] == [(numbers == row["number"]).sum() for row in rows]
    pair = np.array(Image.open(folder / "semantic/train/pair.png"))
    assert np.array_equal(pair == 2, masks["above"]), "the higher score has the overlap"
    assert done.lost[COVERED] == (masks["above"] & masks["below"]).sum()
    assert json.loads((folder / "classes.json").read_text())["2"] == "ümlaut <b>"


def test_more_than_255_objects_take_16_bits(bare_world, masks):
    dots = []
    for number in range(300):
        dot = np.zeros((96, 128), bool)
        dot[number // 100, number % 100] = True
        dots.append((dot, "cup", 0.5))
    hidden = np.zeros((96, 128), bool)
    hidden[0, 0] = True
    dots.append((hidden, "cup", 0.4))
    bare_world.write({"pair.png": dots}, broken=(), concepts=("cup",))
    done, folder = bare_world.export("png")
    numbers = np.array(Image.open(folder / "instances/train/pair.png"))
    assert numbers.max() == 300
    assert done.lost[HIDDEN] == 1
    assert np.array(Image.open(folder / "semantic/train/pair.png")).max() == 1


def test_more_concepts_than_a_byte_has_are_refused(bare_world):
    names = [f"thing {n}" for n in range(255)]
    bare_world.write({"pair.png": [("disc", name, 0.5) for name in names]}, (), names)
    with pytest.raises(ConfigError, match="can hold 254 concepts"):
        bare_world.export("png")


def test_torchvision_reads_voc(exported, labelled, masks):
    from torchvision.datasets import VOCDetection, VOCSegmentation

    done, folder = exported("voc", split="train=0.5,val=0.5")
    seen = 0
    for side in ("train", "val", "trainval"):
        data = VOCSegmentation(str(folder), year="2012", image_set=side, download=False)
        for image, target in data:
            target.load()  # torchvision leaves the file open
            assert image.size == target.size == (128, 96)
            seen += side != "trainval"
        assert side != "trainval" or len(data) == len(labelled)
    assert seen == len(labelled)
    classes = np.array(Image.open(folder / "VOCdevkit/VOC2012/SegmentationClass/v1.0_ring.v2.png"))
    assert np.array_equal(classes == 1, masks["ring"])
    assert done.tally.encoded_again == 5, "four PNGs, and one that was stored turned"
    boxes_file = folder / "VOCdevkit/VOC2012/Annotations/a_disc.xml"
    tree = ElementTree.parse(boxes_file)  # noqa: S314  (our own)
    boxes = VOCDetection.parse_voc_xml(tree.getroot())["annotation"]
    found = boxes["object"][0]
    assert found["name"] == "cup"
    assert found["bndbox"] == {"xmin": "22", "ymin": "12", "xmax": "80", "ymax": "70"}
    labels = (folder / "VOCdevkit/VOC2012/labelmap.txt").read_text().splitlines()
    assert labels[2:] == ["cup:128,0,0::", "ümlaut <b>:0,128,0::"]
