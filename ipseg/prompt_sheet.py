"""A contact sheet of described prompts: what was taken for the object of each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ipseg.rows import Row
from ipseg.vision.images import ImageLimits, decode, encode_png
from ipseg.vision.masks import decode_rle, resized
from ipseg.vision.overlay import Tile, colour_of, grid, isolate

_MOST = 24  # prompts on a sheet
_ANY_SHAPE = ImageLimits(min_side=1, max_aspect=float("inf"))  # of thumbnails


def prompt_sheet(rows: Iterable[Row]) -> bytes | None:
    """PNG of the first prompts of a bank, or None for those that have no image.

    Args:
        rows: concept, key, thumbnail, and `prompts` with mask and warning, of which the first is
            drawn.
    """
    drawn = [row for row in islice(rows, _MOST) if row["thumbnail"] is not None and row["prompts"]]
    names = sorted({row["concept"] for row in drawn})
    tiles = [_tile(row, names.index(row["concept"])) for row in drawn]
    return encode_png(grid(tiles)) if tiles else None


def _tile(row: Row, index: int) -> Tile:
    photo, prompt = decode(row["thumbnail"], _ANY_SHAPE), row["prompts"][0]
    if prompt["mask"] is not None:
        mask = resized(decode_rle(prompt["mask"]), (photo.shape[1], photo.shape[0]))
        photo = isolate(photo, mask, colour_of(index))
    return Tile(photo, f"{row['concept']}: {row['key']}", prompt["warning"] or "")
