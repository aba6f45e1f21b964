"""What scores of the demo's collection are worth: thresholds without labels, and calibration."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ipseg.config import load_config
from jobs.demo.collection import write_collection
from jobs.segment import print_run
from pipeline.labels.calibrate import calibrate
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """80 images, a fifth without any concept; text is prompted for and is in none."""
    collection = write_collection(tmp_path_factory.mktemp("demo"), images=80)
    Image.fromarray(data.text()).convert("RGB").save(collection.prompts / "text.jpg")
    (collection.masks / "text").mkdir()
    request = Request(
        images=str(collection.images),
        out=str(collection.folder / "run"),
        config=load_config(SMALL),
        prompts=str(collection.prompts),
        masks=str(collection.masks),
        engine="local",
    )
    return collection, segment(request)


def labelled(collection, records, name):
    """Ground truth of some images; those with no concept have a black mask."""
    folder = collection.folder / name
    for concept in collection.concepts:
        (folder / concept).mkdir(parents=True)
    for record in records:
        for concept in record.concepts:
            shutil.copy(collection.masks / concept / f"{record.key}.png", folder / concept)
        if not record.concepts:
            black = np.zeros((record.height, record.width), np.uint8)
            Image.fromarray(black).save(folder / collection.concepts[0] / f"{record.key}.png")
    return str(folder)


def test_presence_at_the_suggested_thresholds_is_printed(demo, capsys):
    _, run = demo
    print_run(run, as_json=False)
    printed = capsys.readouterr().out
    assert all(head in printed for head in ("threshold", "precision", "recall"))
    assert "no image is convincing for 'text'" in printed
    quality = run.metrics["quality"]
    assert quality["precision"] > 0.9
    assert quality["recall"] > 0.3
    assert quality["average_precision"] > 0.7
    assert run.metrics["suggested"]["text"]["threshold"] is None
    assert quality["concepts"]["text"]["recall"] is None
    for name, each in run.metrics["suggested"].items():
        known = quality["concepts"][name]
        if each["convincing"]:
            right = known["precision"] * each["convincing"]
            assert right == pytest.approx(known["recall"] * known["present"])


def test_a_calibration_on_40_images_holds_on_the_others(demo):
    collection, run = demo
    some, others = collection.records[:40], collection.records[40:]
    calibrate(run.out, masks=labelled(collection, some, "some"))
    measured = calibrate(run.out, masks=labelled(collection, others, "others"), of=run.out).measured
    for event in ("mask", "presence"):
        found = measured[event]["reliability"]
        assert found["ece"] <= found["floor"] + 0.05
    assert measured["mask"]["raw"]["ece"] > measured["mask"]["reliability"]["ece"] + 0.05


def test_the_command(demo, ipseg):
    collection, run = demo
    few = labelled(collection, collection.records[:3], "few")
    code, _, err = ipseg("calibrate", run.out, "--labels", few)
    assert code == 2
    assert "are too few to calibrate on" in err
    words = ("calibrate", run.out, "--labels", collection.masks, "--all-images")
    code, out, err = ipseg(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["labels"]["images"] == 80
    assert found["measured"]["mask"]["reliability"]["labels"] == found["labels"]["objects"]
    _, out, _ = ipseg(*words)
    assert "ECE" in out
    assert "precision" in out
