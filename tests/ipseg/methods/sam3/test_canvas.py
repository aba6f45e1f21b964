import numpy as np
import pytest

from ipseg.methods.sam3.canvas import Canvas, Place

SIDE = 1008


def covered(layout):
    """How often each pixel of the canvas is used."""
    times = np.zeros((layout.side, layout.side), int)
    for place in (*layout.examples, layout.target):
        place.cut(times)[:] += 1
    return times


def test_the_released_canvas_of_one_example():
    layout = Canvas().layout(1, SIDE)
    assert layout.examples == (Place(0, 0, 1008, 604),)
    assert layout.target == Place(0, 604, 1008, 404)
    swapped = Canvas(one="bottom").layout(1, SIDE)
    assert swapped.examples == (Place(0, 404, 1008, 604),)
    assert swapped.target == Place(0, 0, 1008, 404)


def test_the_released_canvas_of_five_examples():
    layout = Canvas().layout(5, SIDE)
    assert [(p.width, p.height) for p in layout.examples] == [(336, 302)] * 3 + [(302, 353)] * 2
    assert layout.target == Place(302, 302, 706, 706)


@pytest.mark.parametrize("one", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize("count", [1, 2, 5, 7])
@pytest.mark.parametrize("corner", [True, False])
def test_every_layout_fills_the_canvas_without_overlaps(one, count, corner):
    canvas = Canvas(one=one, several="corner" if corner else one)
    layout = canvas.layout(count, SIDE)
    assert len(layout.examples) == count
    assert (covered(layout) == 1).all()
    area = layout.target.width * layout.target.height / SIDE**2
    share = canvas.share_of_one if count == 1 else canvas.share_of_several
    expected = (1 - share) ** (2 if corner and count > 1 else 1)
    assert area == pytest.approx(expected, abs=2e-3)


def test_images_are_stretched_to_their_places_and_boxes_go_with_them():
    layout = Canvas().layout(2, 100)
    example = np.zeros((40, 80, 3), np.uint8)
    example[10:20, 20:60] = 255
    grey = np.full((50, 30, 3), 128, np.uint8)
    canvas = layout.paste([example, grey], grey)
    inside = np.array([[20 / 80, 10 / 40, 60 / 80, 20 / 40], [0, 0, 1, 1]], np.float32)
    first, second = np.round(layout.boxes(inside) * 100).astype(int)
    white = canvas[..., 0] > 200
    rows, columns = np.nonzero(white)
    assert np.abs([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] - first).max() <= 1
    assert tuple(second) == (0, 30, 30, 100)
    assert (layout.target.cut(canvas.transpose(2, 0, 1)) == 128).all()
