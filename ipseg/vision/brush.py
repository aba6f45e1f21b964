"""Masks in Label Studio's run lengths for brush strokes.

Four equal values for each pixel (red, green, blue, alpha), row by row, 0 or 255. A header of 32
bits says how many values there are, five bits their size (8 bits, less one), and four times four
bits the sizes in which a length can be written (less one). Each run is a bit 1, two bits for the
size of its length, the length less one, and the value. Zero bits fill the last byte; a full last
byte is followed by a zero byte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ipseg.rows import Mask

_SIZES = np.array([3, 4, 8, 16])  # bits of a length
_LONGEST = 2**16
_VALUE_BITS = 8
_CHANNELS = 4


def encode_brush(mask: Mask) -> list[int]:
    """The bytes, 0 to 255, of an (H, W) bool mask."""
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size)) * _CHANNELS
    values = np.where(flat[starts], 255, 0)
    lengths, values = _cut(lengths, values)
    which = np.searchsorted(2**_SIZES, lengths)  # the first that is large enough
    sizes = _SIZES[which]
    # 1, which size, length less one, value: at most 27 bits
    codes = (4 + which) << sizes | (lengths - 1)
    codes = codes << _VALUE_BITS | values
    header = [(flat.size * _CHANNELS, 32), (_VALUE_BITS - 1, 5), *((n - 1, 4) for n in _SIZES)]
    numbers = np.concatenate([[value for value, _ in header], codes])
    bits = np.concatenate([[n for _, n in header], sizes + 3 + _VALUE_BITS])
    return _packed(numbers, bits)


def _cut(
    lengths: npt.NDArray[np.int64], values: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Runs of at most 65,536: a longer one is several full ones and the rest."""
    pieces = -(-lengths // _LONGEST)
    cut = np.full(int(pieces.sum()), _LONGEST)
    cut[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    return cut, np.repeat(values, pieces)


def _packed(numbers: npt.NDArray[np.int64], bits: npt.NDArray[np.int64]) -> list[int]:
    """Numbers of so many bits each, highest bit first, one behind the other."""
    ends = np.cumsum(bits)
    total = int(ends[-1])
    shift = np.repeat(ends, bits) - 1 - np.arange(total)
    stream = (np.repeat(numbers, bits) >> shift) & 1
    packed: list[int] = np.packbits(stream.astype(np.uint8)).tolist()
    return packed if total % 8 else [*packed, 0]
