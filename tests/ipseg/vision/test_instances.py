"""Objects in a mask, and which masks found them."""

import numpy as np

from ipseg.vision.instances import found, iou, separate


def boxes(*places, size=(8, 20)):
    masks = []
    for left, right in places:
        mask = np.zeros(size, bool)
        mask[1:7, left:right] = True
        masks.append(mask)
    return masks


def test_pieces_are_objects_unless_they_are_numbered():
    a, b = boxes((0, 5), (5, 9))
    together = a | b
    assert len(separate(together)) == 1
    numbered = separate(together, a * 1 + b * 2)
    assert [np.array_equal(mask, each) for mask, each in zip(numbered, (a, b), strict=True)] == [
        *(True, True)
    ]
    smoothed = np.where(a, 255, np.where(b, 128, 0))
    assert len(separate(together, smoothed)) == 1
    assert len(separate(*boxes((0, 4)))) == 1
    assert separate(np.zeros((3, 3), bool)) == []


def test_each_object_is_found_once():
    a, b, both = *boxes((0, 6), (10, 16)), sum(boxes((0, 6), (10, 16))).astype(bool)
    assert found([a, b], [a, b]) == [True, True]
    assert found([a, a, b], [a, b]) == [True, False, True]
    assert found([both], [a, b]) == [True]  # half of it, at an IoU of 0.5
    assert found([a], []) == [False]
    assert iou(*boxes((0, 0), (0, 0))) == 0
