import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.counters.countr import Counted, CounTR
from ipseg.counters.countr_network import CounTRNetwork, sine_table
from ipseg.counters.countr_windows import Rect, Resized, assembled, merged, starts, windows
from ipseg.errors import WeightsError
from ipseg.networks.models import Models

sys.path.append(str(Path(__file__).parent))

from released import digest

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = ("three", "one", "border", "narrow", "small")
KEYS = "153dc937381bf5c91040dc104b8705cf204ffe3aa918668744113eb327f6e5cc"


def test_names_and_shapes_are_those_of_the_released_checkpoint():
    with torch.device("meta"):
        network = CounTRNetwork()
    assert digest(network) == (225, KEYS)
    # The two tables of positions are no parameters.
    tables = network.pos_embed.numel() + network.decoder_pos_embed.numel()
    assert sum(p.numel() for p in network.parameters()) - tables == pytest.approx(99.7e6, abs=1e6)


@pytest.mark.parametrize("case", CASES)
def test_densities_and_counts_are_the_golden_ones(countr, golden, case):
    name, boxes = golden.CASES[case]
    (encoded,) = countr.encode([golden.photo(name)])
    found = countr.count(encoded, np.array(boxes, float))
    with np.load(GOLDEN / "counters.npz") as wanted:
        density = wanted[f"countr.{case}.map"]
        count, total = (float(wanted[f"countr.{case}.{name}"]) for name in ("count", "total"))
    step = golden.STEP
    np.testing.assert_allclose(found.map[::step, ::step], density, rtol=0, atol=1e-5)
    assert (found.count, found.total) == pytest.approx((count, total), rel=2e-4)


def test_positions_are_sines_and_cosines_of_column_and_row():
    table = sine_table(16, 5).numpy()
    assert table.shape == (25, 16)
    row, column = 3, 2
    found = table[5 * row + column]
    for channel in range(4):
        frequency = 10000 ** (-channel / 4)
        wanted = [np.sin(column * frequency), np.cos(column * frequency)]
        wanted += [np.sin(row * frequency), np.cos(row * frequency)]
        np.testing.assert_allclose(found[channel::4], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "wanted"),
    [
        (384, [0]),
        (400, [0, 16]),
        (512, [0, 128]),
        (576, [0, 128, 192]),
        (800, [0, 128, 256, 384, 416]),
    ],
)
def test_windows_reach_to_the_end(width, wanted):
    assert starts(width, 384) == wanted
    pixels = torch.rand(3, 384, width)
    cut = windows(pixels)
    assert torch.equal(cut[-1], pixels[:, :, -384:])
    torch.testing.assert_close(merged(list(cut[:, 0]), width), pixels[0])


def test_overlaps_are_means_from_left_to_right():
    parts = [torch.full((3, 3), value) for value in (0.0, 4.0, 8.0)]
    found = merged(parts, 5)  # from 0, 1 and 2 on
    assert found[0].tolist() == [0, 2, 5, 6, 8]


def test_a_narrow_image_is_padded_at_both_sides():
    image = np.full((451, 300, 3), 255, np.uint8)
    small = Resized.of(image, 384)
    assert small.pixels.shape == (3, 384, 384)
    assert (small.width, small.padding) == (240, 72)
    inside = small.pixels[0, 0] > 0
    assert inside.nonzero().flatten().tolist() == list(range(72, 312))
    (rect,) = small.rects(np.array([[30.0, 200, 110, 290]]))
    assert rect == Rect(int(200 * 384 / 451), 24, int(290 * 384 / 451), 88)


def test_nine_tiles_become_one_density_with_the_same_sum():
    tiles = [torch.rand(12, 18) for _ in range(9)]
    whole = assembled(tiles)
    assert whole.shape == (12, 18)
    assert float(whole.sum()) == pytest.approx(float(sum(t.sum() for t in tiles)), rel=1e-5)
    torch.testing.assert_close(whole[4:8, 6:12].sum(), tiles[4].sum())


def test_a_count_is_divided_where_an_exemplar_holds_several():
    counted = Counted(torch.zeros(1), (10.0, 8.0), 1.8)
    assert counted.count == 18
    assert replace(counted, in_exemplars=2.0).count == 9


def fixed(countr, **settings):
    found = replace(countr, **settings)
    found.setup(Models(device="cpu"))
    return found


def test_each_switch_changes_its_case_and_no_other(countr, golden):
    switches = {
        "countr_tiles": "small",
        "countr_padding": "narrow",
        "countr_e_divisor": "one",
        "crop_antialias": "border",  # with an exemplar larger than its crop
    }
    for switch, case in switches.items():
        value = False if switch == "crop_antialias" else "fixed"
        changed = fixed(countr, **{switch: value})
        name, boxes = golden.CASES[case]
        boxes = np.array(boxes, float)
        before, after = (
            each.counted(each.encode([golden.photo(name)])[0], boxes) for each in (countr, changed)
        )
        assert before.in_exemplars != pytest.approx(after.in_exemplars, rel=1e-6), switch
        if switch == "countr_e_divisor":
            assert after.in_exemplars == pytest.approx(3 * before.in_exemplars)
    name, boxes = golden.CASES["three"]  # wide, large exemplars, three of them
    boxes = np.array(boxes, float)
    plain = countr.count(countr.encode([golden.photo(name)])[0], boxes)
    other = fixed(countr, countr_tiles="fixed", countr_padding="fixed", countr_e_divisor="fixed")
    same = other.count(other.encode([golden.photo(name)])[0], boxes)
    assert np.array_equal(plain.map, same.map)
    assert plain.count == same.count


def test_an_exemplar_is_encoded_once_for_an_image(countr, golden):
    seen = []
    first = countr._network.decoder_proj1[0]
    watching = first.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (encoded,) = countr.encode([golden.photo("coffee").copy()])
    three = np.array(golden.THREE, float)
    countr.count(encoded, three[:1])
    countr.count(encoded, three)
    countr.count(encoded, three[[2, 2]])
    watching.remove()
    assert sum(seen) == 3


@pytest.mark.parametrize("left_out", ["decoder_pos_embed", "decode_head2.1.weight"])
def test_what_does_not_fit_is_refused_by_name(golden, saved, left_out):
    state = {k: v for k, v in golden.countr_state().items() if k != left_out}
    with pytest.raises(WeightsError, match=left_out):
        CounTR(weights=saved({"model": state})).setup(Models(device="cpu"))
