import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import SourceError
from ipseg.methods.ipseg.scoring import make_object
from ipseg.steps.compare import CompareWithMasks, mask_path


@pytest.fixture
def truth(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 10:20] = 255
    (tmp_path / "cup" / "deep").mkdir(parents=True)
    (tmp_path / "cat").mkdir()
    cv2.imwrite(str(tmp_path / "cup" / "deep" / "a.png"), mask)
    cv2.imwrite(str(tmp_path / "flat.png"), mask)
    return tmp_path


def found(concept, columns):
    mask = np.zeros((20, 30), bool)
    mask[5:15, columns] = True
    return make_object(concept, 1, mask)


def row(key, *objects):
    return {"key": key, "width": 30, "height": 20, "objects": list(objects)}


def test_masks_by_concept(truth):
    step = CompareWithMasks(str(truth), ("cat", "cup"), by_concept=True)
    (done,) = step([row("deep/a.jpg", found("cup", slice(15, 25)), found("cat", slice(0, 3)))])
    assert done["metrics"] == [
        {"concept": "cat", "present": False, "intersection": 0, "union": 30, "iou": None},
        {"concept": "cup", "present": True, "intersection": 50, "union": 150, "iou": 50 / 150},
    ]


def test_nothing_found_is_an_iou_of_zero(truth):
    step = CompareWithMasks(str(truth), ("cup",), by_concept=True)
    assert step([row("deep/a.jpg")])[0]["metrics"][0]["iou"] == 0


def test_flat_masks_and_an_image_without_ground_truth(truth):
    step = CompareWithMasks(f"{truth}/", ("cup",), by_concept=False)
    done = step([row("flat.jpeg", found("cup", slice(10, 20))), row("unlabeled.jpg")])
    assert done[0]["metrics"][0]["iou"] == 1
    assert done[1]["metrics"] == []


def test_a_mask_of_another_size_is_refused(truth):
    step = CompareWithMasks(str(truth), ("cup",), by_concept=False)
    with pytest.raises(SourceError, match="is 30x20 pixels, its picture 31x20"):
        step([{**row("flat.jpg"), "width": 31}])


def test_a_folder_named_like_the_concept_is_not_repeated():
    assert mask_path("m/", "cow/1.jpg", "cow") == "m/cow/1.png"
    assert mask_path("m", "1.jpg", "cow") == "m/cow/1.png"


@given(st.text())
def test_no_key_leaves_the_root(key):
    try:
        path = mask_path("root", key, "cup")
    except SourceError:
        return
    assert path.startswith("root/cup")
    assert "/../" not in path


@pytest.mark.parametrize("key", ["../x.jpg", "/etc/passwd", "a/../../x", "a\\..\\x", "a\0b"])
def test_keys_that_would_leave_the_root_are_refused(key):
    with pytest.raises(SourceError, match="cannot be used as a file name"):
        mask_path("root", key, "cup")
