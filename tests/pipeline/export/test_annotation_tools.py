"""Label Studio and CVAT: masks equal to the bit, names and structure as their importers want."""

import json
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.vision.brush import encode_brush
from pipeline.export.formats.cvat import row_runs
from pipeline.labels.decisions import Decision, Session, mask_hash


def decode_brush(data, height, width):
    """The mask, by the description of the format alone."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def read(count):
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        is_run = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if is_run else [read(word) for _ in range(length)]
    assert len(bits) - at <= 8
    return np.array(values).reshape(height, width, 4)[..., 3] > 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))
def test_brush_strokes_give_the_mask_back(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(decode_brush(encode_brush(mask), height, width), mask)


def test_long_runs_are_cut():
    mask = np.ones((300, 300), bool)
    mask[299, 299] = False
    assert np.array_equal(decode_brush(encode_brush(mask), 300, 300), mask)


def test_the_sdk_decodes_and_encodes_the_same(masks):
    brush = pytest.importorskip(
        "label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed"
    )
    for name, mask in masks.items():
        data = encode_brush(mask)
        back = brush.decode_rle(data).reshape(*mask.shape, 4)[..., 3] > 0
        assert np.array_equal(back, mask), name
        assert data == list(brush.encode_rle(np.repeat(mask.ravel() * np.uint8(255), 4))), name


def parsed(file):
    return ElementTree.parse(file).getroot()  # noqa: S314  (our own)


def tasks_of(folder):
    (file,) = (folder / "tasks").iterdir()
    return {task["data"]["key"]: task for task in json.loads(file.read_text())}


def test_tasks_have_predictions_with_every_mask(exported, labelled, masks):
    _, folder = exported("labelstudio")
    tasks = tasks_of(folder)
    assert set(tasks) == set(labelled)
    for key, objects in labelled.items():
        (prediction,) = tasks[key]["predictions"]
        assert "annotations" not in tasks[key], "nobody has accepted anything"
        assert len(prediction["result"]) == len(objects)
        for (name, concept, score), region in zip(objects, prediction["result"], strict=True):
            assert region["value"]["brushlabels"] == [concept]
            assert region["score"] == pytest.approx(score)
            size = (region["original_height"], region["original_width"])
            assert np.array_equal(decode_brush(region["value"]["rle"], *size), masks[name])
        path = unquote(tasks[key]["data"]["image"].removeprefix("/data/local-files/?d="))
        assert (folder / path).exists()
    config = parsed(folder / "label_config.xml")
    assert [each.get("value") for each in config.iter("Label")] == ["cup", "ümlaut <b>"]


def test_accepted_masks_are_annotations(world):
    found = world.row("pair.png", [("below", "cup", 0.4)])["objects"][0]
    accepted = Decision("pair.png", "accept", "cup", 0, mask_hash(found.segmentation))
    Session(world.out, "me").add([accepted])
    _, folder = world.export("labelstudio")
    task = tasks_of(folder)["pair.png"]
    (annotation,) = task["annotations"]
    assert [r["value"]["brushlabels"] for r in annotation["result"]] == [["cup"]]
    result = task["predictions"][0]["result"]
    assert [r["value"]["brushlabels"] for r in result] == [["ümlaut <b>"]]


def test_the_sdk_accepts_predictions(exported):
    interface = pytest.importorskip(
        "label_studio_sdk.label_interface", reason="label-studio-sdk is not installed"
    )
    _, folder = exported("labelstudio")
    configured = interface.LabelInterface((folder / "label_config.xml").read_text())
    configured.validate()
    for task in tasks_of(folder).values():
        errors = configured.validate_prediction(task["predictions"][0], return_errors=True)
        assert not errors


def test_cvat_has_every_mask_within_its_box(exported, labelled, masks):
    _, folder = exported("cvat")
    root = parsed(folder / "train.xml")
    assert root.findtext("version") == "1.1"
    assert [n.text for n in root.iter("name")] == ["cup", "ümlaut <b>"]
    images = {image.get("name"): image for image in root.iter("image")}
    assert list(images) == (folder / "train.txt").read_text().splitlines()
    assert len(images) == len(labelled)
    for key, objects in labelled.items():
        image = next(i for n, i in images.items() if n.rpartition(".")[0] == key[:-4])
        assert (folder / "images/train" / image.get("name")).exists()
        elements = image.findall("mask")
        assert [each.get("label") for each in elements] == [concept for _, concept, _ in objects]
        for (name, _, _), each in zip(objects, elements, strict=True):
            runs = [int(n) for n in each.get("rle").split(",")]
            left, top, width, height = (
                int(each.get(side)) for side in ("left", "top", "width", "height")
            )
            assert sum(runs) == width * height
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            back = np.zeros_like(masks[name])
            back[top : top + height, left : left + width] = inside
            assert np.array_equal(back, masks[name]), name


def test_runs_begin_with_background():
    assert row_runs(np.array([[1, 0], [0, 1]], bool)) == [0, 1, 2, 1]
    assert row_runs(np.array([[0, 1], [1, 1]], bool)) == [1, 3]


@pytest.mark.filterwarnings("ignore")
def test_datumaro_imports_it(exported, labelled, masks):
    pytest.importorskip("datumaro", reason="datumaro is not installed")
    from datumaro.components.dataset import Dataset

    _, folder = exported("cvat")
    data = Dataset.import_from(str(folder / "train.xml"), "cvat")
    found = {item.id: item for item in data}
    assert len(found) == len(labelled)
    ring = next(item for name, item in found.items() if "ring" in name)
    back = [np.asarray(each.image) > 0 for each in ring.annotations]
    assert any(np.array_equal(each, masks["ring"]) for each in back)
