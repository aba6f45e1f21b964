import itertools

import numpy as np
import pytest
import skimage.data

from ipseg.vision.overlay import (
    COLOURS,
    GREEN,
    RED,
    WARNING,
    Drawn,
    Tile,
    colour_of,
    draw,
    grid,
    isolate,
)

COFFEE = skimage.data.coffee()  # (400, 600, 3)
SQUARE = np.zeros((400, 600), bool)
SQUARE[150:250, 200:400] = True


def test_colours_differ_for_colour_blind_people_too():
    assert colour_of(0) == COLOURS[0] == colour_of(len(COLOURS))
    # Protan and deutan vision (Viénot, Brettel & Mollon, 1999), on linear RGB.
    linear = (np.array(COLOURS) / 255) ** 2.2
    for rows in ([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
                 [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
                 np.eye(3)):  # fmt: skip
        seen = np.clip(linear @ np.array(rows).T, 0, 1) ** (1 / 2.2) * 255
        for one, two in itertools.combinations(seen, 2):
            assert np.linalg.norm(one - two) > 25


def test_nothing_to_draw_is_a_copy():
    image = draw(COFFEE, [])
    np.testing.assert_array_equal(image, COFFEE)
    assert not np.shares_memory(image, COFFEE)
    empty = Drawn(colour=COLOURS[0], mask=np.zeros((400, 600), bool))
    np.testing.assert_array_equal(draw(COFFEE, [empty]), COFFEE)


def test_the_input_is_not_changed():
    before, mask = COFFEE.copy(), SQUARE.copy()
    draw(COFFEE, [Drawn(COLOURS[1], SQUARE, np.array([[300, 200, 1]]), "square")])
    np.testing.assert_array_equal(COFFEE, before)
    np.testing.assert_array_equal(SQUARE, mask)


@pytest.mark.parametrize("fill", [0.0, 0.45, 1.0])
def test_masks_are_tinted_inside_a_contour(fill):
    image = draw(COFFEE, [Drawn(COLOURS[1], SQUARE)], fill=fill)
    inside, outside = (slice(160, 240), slice(210, 390)), np.ones_like(SQUARE)
    outside[140:260, 190:410] = False
    expected = (1 - fill) * COFFEE[inside] + fill * np.array(COLOURS[1])
    assert np.abs(image[inside] - expected).max() <= 0.5
    np.testing.assert_array_equal(image[outside], COFFEE[outside])
    for edge in (
        image[150, 220:380],
        image[249, 220:380],
        image[170:230, 200],
        image[170:230, 399],
    ):
        np.testing.assert_array_equal(edge, np.broadcast_to(COLOURS[1], edge.shape))


def test_contours_go_around_holes():
    holed = SQUARE.copy()
    holed[180:220, 280:320] = False
    image = draw(COFFEE, [Drawn(COLOURS[0], holed)])
    np.testing.assert_array_equal(image[190:210, 290:310], COFFEE[190:210, 290:310])
    assert (image[200, 279] == COLOURS[0]).all()


def test_points_are_above_all_masks():
    points = np.array([[300.5, 200.5, 1], [100.5, 50.5, 0]])
    image = draw(COFFEE, [Drawn(COLOURS[1], None, points), Drawn(COLOURS[0], SQUARE)])
    assert tuple(image[200, 300]) == GREEN
    assert tuple(image[50, 100]) == RED
    around = image[200, 280:320].astype(int)
    assert (around.min(axis=1) > 230).any()  # a white rim


def test_lines_and_discs_grow_with_the_image():
    large = np.zeros((1600, 1600, 3), np.uint8)
    small = np.zeros((200, 200, 3), np.uint8)

    def disc(image):
        middle = image.shape[0] / 2
        drawn = draw(image, [Drawn(COLOURS[0], None, np.array([[middle, middle, 1]]))])
        return (drawn == GREEN).all(axis=2).sum()

    assert 8 < disc(large) / disc(small) < 24


@pytest.mark.parametrize(
    "label",
    ["cup", "Tüte café", "カップ", "🦊", "a\nb\tc\x00", "\udc80", "", "   ", "w" * 500],
)
@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (300, 16), (120, 160)])
def test_any_label_on_any_size(label, shape):
    image = np.full((*shape, 3), 120, np.uint8)
    mask = np.zeros(shape, bool)
    mask[:1, -1:] = True
    objects = [
        Drawn(COLOURS[0], mask, np.array([[0, 0, 1], [shape[1], shape[0], 0]]), label),
        Drawn(COLOURS[1], None, label=label),
        Drawn(COLOURS[2], np.ones(shape, bool), label=label),
    ]
    drawn = draw(image, objects)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8


def test_labels_do_not_hide_each_other():
    image = np.full((300, 300, 3), 120, np.uint8)
    objects = [Drawn(colour_of(i), None, label=f"concept {i}") for i in range(4)]
    drawn = draw(image, objects)
    areas = [(drawn == colour_of(i)).all(axis=2).sum() for i in range(4)]
    assert min(areas) > 0.8 * max(areas)


def test_isolate_dims_the_rest():
    image = isolate(COFFEE, SQUARE, COLOURS[1])
    np.testing.assert_array_equal(image[160:240, 210:390], COFFEE[160:240, 210:390])
    np.testing.assert_array_equal(image[:140], np.round(0.3 * COFFEE[:140]))
    assert tuple(image[200, 200]) == COLOURS[1]


def test_text_is_reduced_to_ascii():
    same = [
        draw(COFFEE, [Drawn(COLOURS[0], label=label)])
        for label in (
            "Tute cafe ?",
            "T\u00fcte\ncaf\u00e9 \u30ab",
            "  Tu\u0308te\x00cafe\u0301 \udc80",
        )
    ]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])


def test_contact_sheet():
    tiles = [Tile(COFFEE, "cup"), Tile(COFFEE[:, :100], "tall"), Tile(COFFEE[:20], "wide")]
    sheet = grid(tiles, columns=2, tile=120)
    assert sheet.dtype == np.uint8
    assert 2 * 120 < sheet.shape[1] < 2 * 120 + 60
    assert 2 * 80 < sheet.shape[0] < 2 * 120 + 120
    assert grid(tiles[:1], columns=4, tile=120).shape[1] < 160
    with pytest.raises(ValueError, match="at least one"):
        grid([])


def test_a_warning_is_visible():
    quiet = grid([Tile(COFFEE, "cup")], tile=160)
    loud = grid([Tile(COFFEE, "cup", "the object covers 83% of the image, is it all?")], tile=160)
    assert not (quiet == WARNING).all(axis=2).any()
    assert (loud == WARNING).all(axis=2).sum() > 500
    assert loud.shape[0] > quiet.shape[0]


def test_drawing_is_deterministic():
    objects = [Drawn(COLOURS[1], SQUARE, np.array([[300, 200, 1]]), "square")]
    np.testing.assert_array_equal(draw(COFFEE, objects), draw(COFFEE, objects))
    tiles = [Tile(COFFEE, "cup", "look")]
    np.testing.assert_array_equal(grid(tiles), grid(tiles))
