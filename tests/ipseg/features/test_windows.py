import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipseg.features.windows import paste, window_starts


def test_the_published_canvas_is_covered_by_four_windows():
    assert window_starts(960, 512) == [(0, 0), (0, 448), (448, 0), (448, 448)]
    assert window_starts(960, 960) == [(0, 0)]


@pytest.mark.parametrize(("cells", "side", "second"), [(8, 15, 7), (16, 30, 14), (32, 60, 28)])
def test_the_published_cell_ranges(cells, side, second):
    grids = [torch.full((1, cells, cells), float(i)) for i in range(4)]
    full = paste(grids, window_starts(960, 512), 960, 512)[0].numpy()
    assert full.shape == (side, side)
    # Rows and columns: the first window alone, both, the second alone.
    for rows, upper in ((slice(0, second), {0}), (slice(second, cells), {0, 1})):
        for columns, left in ((slice(0, second), {0}), (slice(second, cells), {0, 1})):
            expected = np.mean([2 * u + v for u in upper for v in left])
            assert (full[rows, columns] == expected).all()
    assert (full[cells:, cells:] == 3).all()


@given(unit=st.integers(1, 4), crop=st.integers(1, 5), extra=st.integers(0, 9))
def test_pasting_windows_gives_the_canvas_back(unit, crop, extra):
    size = crop + extra
    canvas = torch.arange(2.0 * size * size).reshape(2, size, size)
    starts = window_starts(size * unit, crop * unit)
    grids = [
        canvas[:, y // unit : y // unit + crop, x // unit : x // unit + crop] for y, x in starts
    ]
    assert torch.equal(paste(grids, starts, size * unit, crop * unit), canvas)
    assert max(starts)[0] == extra * unit
