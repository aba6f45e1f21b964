"""Masks that are repaired in the browser, and how it codes them."""

import cv2
import numpy as np
import pytest

from ipseg.vision.masks import decode_rle, encode_rle
from pipeline.labels.review import Review


@pytest.fixture(scope="module")
def run(made):
    return made.cups_and_hats("repair", images=30)


def decided(out):
    """Id -> decision, of those that hold."""
    return {each.id: each for each in Review.read(out).decisions}


def new_ones(out, before):
    return [each for id, each in decided(out).items() if id not in before]


@pytest.mark.parametrize("key", ["g", "h"])
def test_a_mask_is_repaired_by_keys_to_the_pixel(page, run, key):
    before = decided(run)
    page.single()
    was = decode_rle(page.ask("review.single.item.whole.segmentation"))
    page.press("e")
    page.until("review.single.editor")
    page.decide(key, "Enter")
    page.saved()
    (edit,) = new_ones(run, before)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    change = {"g": cv2.dilate, "h": cv2.erode}[key]
    want = change(was.astype(np.uint8), cross, borderValue=0) > 0
    assert edit.decision == "edit"
    np.testing.assert_array_equal(decode_rle(edit.segmentation), want)


def test_brush_and_eraser(page, run):
    before = decided(run)
    page.single()
    was = decode_rle(page.ask("review.single.item.whole.segmentation"))
    page.press("e")
    page.until("review.single.editor")
    centre = page.ask("review.single.editor.at")
    page.press("e", "Space", "b", *["ArrowLeft"] * 40, *["ArrowUp"] * 40, "Space")
    page.ask("review.single.editor.radius = 3")
    box = page.page.locator("#canvas").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.page.mouse.up()
    page.decide("Enter")
    page.saved()
    (edit,) = new_ones(run, before)
    mask = decode_rle(edit.segmentation)
    assert mask[0, 0]
    assert not was[0, 0]
    assert was[int(centre[1]) - 1, int(centre[0])]
    assert (mask & ~was).sum() > 20  # the stroke
    page.press("u")
    page.saved()


def test_a_repair_that_is_left_changes_nothing(page, run):
    before = decided(run)
    page.single()
    page.press("e", "g", "u", "g", "Escape")
    page.until("!review.single.editor")
    page.saved()
    assert not new_ones(run, before)


def test_masks_are_coded_as_pycocotools_does(page):
    noise = np.random.default_rng(5)
    masks = [noise.random((7, 9)) < share for share in (0.0, 0.1, 0.5, 1.0)]
    big = np.zeros((700, 900), bool)
    big[100:650, 30:850] = True
    for mask in (*masks, big):
        rle = encode_rle(mask)
        again, area = page.ask(
            """async (rle) => {
                const { Mask } = await import("/page/mask.js");
                const mask = Mask.from(rle);
                return [[mask.rle(), mask.whole().rle()], mask.area()];
            }""",
            rle,
        )
        assert again == [rle, rle]
        assert area == mask.sum()
