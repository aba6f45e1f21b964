"""What was found: to read, to draw, and in other people's formats."""

import io
import json
import sys

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools.coco import COCO

import ipseg
from ipseg.errors import ImageError
from ipseg.objects import Object
from ipseg.steps.decode import Frames
from ipseg.vision.images import ImageLimits, encode_png

IMAGE = np.zeros((20, 30, 3), np.uint8)
LEFT, RIGHT = np.zeros((2, 20, 30), bool)
LEFT[2:8, 3:10], RIGHT[:, 25:] = True, True
POINTS = np.array([[1, 1, 1]], np.float32)


@pytest.fixture
def found():
    return ipseg.Segmentation(
        [IMAGE, IMAGE],
        (
            Object.of("cup", 1, LEFT, 0.25, points=POINTS),
            Object.of("cup", 1, RIGHT, 0.75, instance=1, points=POINTS + 1),
            Object.of("cat", 2, RIGHT, 0.5, frame=1),
        ),
        ("cup", "cat", "dog"),
        "a.jpg",
    )


def test_objects_of_the_first_frame_by_concept(found):
    assert list(found.masks) == ["cup"]
    assert np.array_equal(found.masks["cup"], LEFT | RIGHT)
    assert found.points["cup"].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert found.boxes["cup"].tolist() == [[3, 2, 10, 8], [25, 0, 30, 20]]
    assert found.scores == {"cup": 0.75, "cat": 0.5}
    assert [each.concept for each in found.of_frame(1)] == ["cat"]
    assert not np.array_equal(found.overlay(frame=1), IMAGE)
    assert np.array_equal(found.overlay(0.9), IMAGE)


def test_it_is_one_short_line_and_an_image_in_a_notebook(found):
    assert repr(found) == "<Segmentation a.jpg 30x20, 2 frames: cup 0.75, cat 0.50>"
    displayed = np.asarray(Image.open(io.BytesIO(found._repr_png_())))
    assert np.array_equal(displayed, found.overlay())
    nothing = ipseg.Segmentation([np.zeros((900, 1800, 3), np.uint8)], (), ("cup",), "b.jpg")
    assert repr(nothing) == "<Segmentation b.jpg 1800x900: nothing found>"
    assert Image.open(io.BytesIO(nothing._repr_png_())).size == (640, 320)


def test_a_failure_has_no_image_and_says_why():
    failed = ipseg.Segmentation((), (), ("cup",), "c.jpg", "the file is empty")
    assert repr(failed) == "<Segmentation c.jpg: failed, the file is empty>"
    assert failed._repr_png_() is None
    assert failed.masks == failed.scores == failed.boxes == {}
    for use in (lambda: failed.image, failed.overlay):
        with pytest.raises(ImageError, match=r"image c.jpg: the file is empty"):
            use()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools with numpy 2
def test_cocos_own_reader_takes_several_results(found, tmp_path):
    other = ipseg.Segmentation([IMAGE], (Object.of("cat", 2, LEFT, 0.5),), found.concepts, "b.jpg")
    failed = ipseg.Segmentation((), (), found.concepts, "c.jpg", "empty")
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(ipseg.to_coco([found, failed, other])))
    coco = COCO(file)
    assert [each["file_name"] for each in coco.loadImgs([1, 2, 3])] == ["a.jpg", "a.jpg", "b.jpg"]
    assert [each["name"] for each in coco.loadCats([1, 2, 3])] == ["cup", "cat", "dog"]
    listed = coco.loadAnns(range(1, 5))
    annotations = [(each["image_id"], each["category_id"], each["score"]) for each in listed]
    assert annotations == [(1, 1, 0.25), (1, 1, 0.75), (2, 2, 0.5), (3, 2, 0.5)]
    assert np.array_equal(coco.annToMask(coco.anns[1]), LEFT)
    assert coco.anns[1]["bbox"] == [3, 2, 7, 6]
    assert coco.anns[1]["area"] == LEFT.sum()
    assert other.to_coco()["annotations"][0]["image_id"] == 1


def test_frames_of_a_sequence_have_their_own_names(tmp_path):
    uris = tuple(str(tmp_path / f"{n}.png") for n in range(2))
    for uri in uris:
        (tmp_path / uri).write_bytes(encode_png(IMAGE))
    frames = ipseg.Segmentation(Frames(uris, ImageLimits()), (), ("cup",), "walk")
    assert [each["file_name"] for each in frames.to_coco()["images"]] == [*uris]


def test_supervision_takes_the_objects_of_a_frame(found):
    detections = found.to_supervision()
    assert len(detections) == 2
    assert detections.xyxy.tolist() == [[3, 2, 10, 8], [25, 0, 30, 20]]
    assert np.array_equal(detections.mask, [LEFT, RIGHT])
    assert detections.confidence.tolist() == [0.25, 0.75]
    assert detections.class_id.tolist() == [1, 1]
    assert detections.data["class_name"].tolist() == ["cup", "cup"]
    assert detections.area.tolist() == [LEFT.sum(), RIGHT.sum()]
    drawn = supervision.MaskAnnotator().annotate(IMAGE.copy(), detections)
    assert drawn[5, 5].any()
    assert not drawn[15, 15].any()
    assert found.to_supervision(frame=1).data["class_name"].tolist() == ["cat"]
    assert len(found.to_supervision(frame=2)) == 0


def test_without_supervision_it_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)  # as if not installed
    with pytest.raises(ImportError, match="pip install supervision"):
        found.to_supervision()
