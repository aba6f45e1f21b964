"""COCO's files, read by pycocotools, torchvision and supervision; panoptic ones by their rules."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.export.formats.coco import KEPT_AS_RLE
from pipeline.export.writer import COVERED

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def loaded(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def by_key(coco):
    """Stem of the file name -> masks in the order of their numbers."""
    return {
        image["file_name"].rpartition(".")[0]: [
            (coco.annToMask(each), each)
            for each in sorted(coco.imgToAnns[number], key=lambda a: a["id"])
        ]
        for number, image in coco.imgs.items()
    }


def same_masks(found, expected, masks, least=1.0):
    """Each expected mask is there with its concept."""
    assert len(found) == len(expected)
    for name, _, score in expected:
        (mask, each) = min(found, key=lambda f: abs(f[1]["score"] - score))
        overlap = (mask & masks[name]).sum() / (mask | masks[name]).sum()
        assert overlap >= least, name
        assert each["area"] == masks[name].sum()
        ys, xs = np.nonzero(masks[name])
        width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
        assert each["bbox"] == [xs.min(), ys.min(), width, height]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segmentation": "polygon"},
        {"segmentation": "polygon", "bridge_holes": True},
    ],
    ids=["rle", "polygon", "polygon with bridges"],
)
def test_pycocotools_gives_every_mask_back(exported, labelled, masks, options):
    done, folder = exported("coco", **options)
    coco = loaded(folder / "annotations/instances_train.json")
    found = by_key(coco)
    assert set(found) == {key.rpartition(".")[0] for key in labelled}
    for key, objects in labelled.items():
        same_masks(found[key.rpartition(".")[0]], objects, masks)
    assert done.lost.get(KEPT_AS_RLE, 0) == (list(options) == ["segmentation"])
    assert sorted(coco.anns) == list(range(1, 8))
    assert sorted(coco.imgs) == list(range(1, 7))
    assert {each["iscrowd"] for each in coco.anns.values()} == {0}
    assert [(c["id"], c["name"]) for c in coco.cats.values()] == [(1, "cup"), (2, "ümlaut <b>")]


def test_against_itself_average_precision_is_one(exported):
    _, folder = exported("coco")
    path = folder / "annotations/instances_train.json"
    coco = loaded(path)
    with contextlib.redirect_stdout(io.StringIO()):
        results = coco.loadRes(json.loads(path.read_text())["annotations"])
        judged = COCOeval(coco, results, "segm")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)


def test_images_are_upright_and_lie_where_the_file_says(exported, labelled):
    _, folder = exported("coco")
    for image in loaded(folder / "annotations/instances_train.json").imgs.values():
        with Image.open(folder / "images/train" / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"])
            assert opened.getexif().get(0x0112, 1) == 1
            key = next(k for k in labelled if k.startswith(image["file_name"][:-4]))
            seen = exported.world.seen[key].astype(int)
            assert np.abs(np.array(opened.convert("RGB")) - seen).mean() < 3, "the same pixels"


def test_torchvision_and_supervision_read_it(exported, labelled, masks):
    from torchvision.datasets import CocoDetection

    with contextlib.redirect_stdout(io.StringIO()):
        _, folder = exported("coco")
        path = folder / "annotations/instances_train.json"
        data = CocoDetection(str(folder / "images/train"), str(path))
        assert len(data) == len(labelled)
        assert all(image.size == (128, 96) for image, _ in data)

    import supervision

    read = supervision.DetectionDataset.from_coco(
        str(folder / "images/train"), str(path), force_masks=True
    )
    found = {}
    for name, image, detections in read:
        assert image.shape == (96, 128, 3)
        found[name.rpartition("/")[2]] = detections
    assert np.array_equal(found["a disc.png"].mask[0], masks["disc"])
    assert len(found["empty.png"]) == 0
    assert len(found["pair.png"]) == 2


def test_several_files_hold_each_image_once(exported):
    _, folder = exported("coco", per_file=4)
    files = sorted((folder / "annotations").iterdir())
    assert [file.name for file in files] == [
        "instances_train-00000.json",
        "instances_train-00001.json",
    ]
    parts = [loaded(file) for file in files]
    assert [len(part.imgs) for part in parts] == [4, 2]
    assert not set(parts[0].imgs) & set(parts[1].imgs)
    assert all(len(part.cats) == 2 for part in parts)
    assert sorted([*parts[0].anns, *parts[1].anns]) == list(range(1, 8))


def test_segments_of_a_panoptic_png_are_those_that_the_json_lists(exported, masks):
    done, folder = exported("coco-panoptic")
    content = json.loads((folder / "annotations/panoptic_train.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert len(content["annotations"]) == 6
    for each in content["annotations"]:
        png = np.array(Image.open(folder / "annotations/panoptic_train" / each["file_name"]))
        ids = png.astype(int) @ [1, 256, 65536]
        counted = dict(zip(*np.unique(ids[ids > 0], return_counts=True), strict=True))
        assert counted == {s["id"]: s["area"] for s in each["segments_info"]}
        for segment in each["segments_info"]:
            ys, xs = np.nonzero(ids == segment["id"])
            width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
            assert segment["bbox"] == [xs.min(), ys.min(), width, height]
        if names[each["image_id"]] == "pair.png":
            above = max(each["segments_info"], key=lambda s: s["annotation_id"] and s["area"])
            assert masks["above"].sum() in {s["area"] for s in each["segments_info"]}, above
    assert done.lost[COVERED] == (masks["below"] & masks["above"]).sum()
    assert all(c["isthing"] == 1 and len(c["color"]) == 3 for c in content["categories"])


def test_panopticapi_scores_it_perfect(exported, tmp_path):
    pytest.importorskip("panopticapi", reason="panopticapi is not installed")
    from panopticapi import evaluation

    _, folder = exported("coco-panoptic")
    path = folder / "annotations/panoptic_train.json"
    with contextlib.redirect_stdout(io.StringIO()):
        quality = evaluation.pq_compute(str(path), str(path))
    assert quality["All"]["pq"] == pytest.approx(1.0)
    assert "panopticapi" in sys.modules
