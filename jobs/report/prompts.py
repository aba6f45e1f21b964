"""The prompts of a run for its report: each photo, and what was taken for its object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ipseg.errors import OutputError
from ipseg.rows import Image
from ipseg.vision.images import ImageLimits, decode
from ipseg.vision.masks import decode_rle, resized
from ipseg.vision.overlay import Colour, isolate
from jobs.pages.views import View, css, view
from pipeline.runfolder.bank import bank_rows

_PROMPTS = 4  # of one concept, drawn
_CONCEPTS = 60  # drawn
_ANY_SHAPE = ImageLimits(min_side=1, max_aspect=float("inf"))  # of thumbnails


def prompts_of(folder: str, colours: Mapping[str, Colour]) -> dict[str, Any]:
    """The prompts of the bank in a folder; that it is gone is said in their place.

    Args:
        folder: of the bank.
        colours: concept of the run -> colour, in order.

    Returns:
        `concepts`, the first few in the order of the run; how many `more` there are; and the
        `reason` why there are none, "" if there are. Each concept has its `name`, its CSS `colour`,
        the first few `prompts` and how many `more` it has. Each prompt has its `row` in the bank,
        `views` (the photo, and the same with all but the object dimmed; none for a mere name), the
        `source` of its object (see `ipseg.steps.support`), and a `warning`, "" for none.
    """
    names = list(colours)[:_CONCEPTS]
    first: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    counts = Counter[str]()
    try:
        for row in bank_rows(folder):
            name, kept = row["concept"], first.get(row["concept"])
            if kept is None:
                continue
            counts[name] += 1
            kept[row["key"]] = row
            if len(kept) > _PROMPTS:  # the first by key, in whatever order they are stored
                del kept[max(kept)]
    except (OSError, OutputError) as error:
        reason = f"The bank at {folder} cannot be read: {error}"
        return {"concepts": [], "more": 0, "reason": reason}
    concepts = [
        {
            "name": name,
            "colour": css(colours[name]),
            "prompts": [_prompt(kept[key], colours[name]) for key in sorted(kept)],
            "more": counts[name] - len(kept),
        }
        for name, kept in first.items()
    ]
    return {"concepts": concepts, "more": len(colours) - len(names), "reason": ""}


def _prompt(row: Mapping[str, Any], colour: Colour) -> dict[str, Any]:
    about = next(iter(row["prompts"]), {})
    views: tuple[View, ...] = ()
    if row["thumbnail"] is not None:
        views = (
            view("photo", lambda: _photo(row)),
            view("object", lambda: _isolated(row, about["mask"], colour)),
        )
    warning = row["error_message"] or about.get("warning") or ""
    return {"row": row, "views": views, "source": about.get("mask_source"), "warning": warning}


def _photo(row: Mapping[str, Any]) -> Image:
    return decode(row["thumbnail"], _ANY_SHAPE)


def _isolated(row: Mapping[str, Any], mask: Any, colour: Colour) -> Image:  # noqa: ANN401  (RLE)
    photo = _photo(row)
    return isolate(photo, resized(decode_rle(mask), (photo.shape[1], photo.shape[0])), colour)
