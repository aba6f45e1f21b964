"""The prompts of a run for its report: each photo, and what was taken for its object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ipseg.errors import OutputError
from ipseg.rows import Image
from ipseg.vision.images import ImageLimits, decode
from ipseg.vision.masks import decode_rle
from ipseg.vision.overlay import Colour, isolate
from jobs.pages.views import View, css, resized, view
from pipeline.runfolder.bank import bank_rows

_PROMPTS = 4  # of one concept, drawn
_CONCEPTS = 60  # drawn
_ANY_SHAPE = ImageLimits(min_side=1, max_aspect=float("inf"))  # of thumbnails


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        key: of its image.
        views: the photo, and the same with all but the object dimmed; none for a mere name.
        width, height: of the photo, in pixels.
        source: where the object comes from, see `ipseg.steps.support`.
        warning: what looks wrong with it; "" for nothing.
    """

    key: str
    views: tuple[View, ...]
    width: int | None
    height: int | None
    source: str | None
    warning: str


@dataclass
class Concept:
    """What is looked for, with its prompts.

    Attributes:
        name: of the concept.
        colour: CSS colour.
        prompts: the first few.
        more: prompts that are left out.
    """

    name: str
    colour: str
    prompts: list[Prompt] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True)
class Prompts:
    """The prompts of a bank.

    Attributes:
        concepts: the first few, in the order of the run.
        more: concepts that are left out.
        reason: why there are none; "" if there are.
    """

    concepts: list[Concept]
    more: int = 0
    reason: str = ""


def prompts_of(folder: str, colours: Mapping[str, Colour]) -> Prompts:
    """The prompts of the bank in a folder; that it is gone is said in their place.

    Args:
        folder: of the bank.
        colours: concept of the run -> colour, in order.
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
        return Prompts([], reason=f"The bank at {folder} cannot be read: {error}")
    return Prompts(
        [
            Concept(
                name,
                css(colours[name]),
                [_prompt(kept[key], colours[name]) for key in sorted(kept)],
                counts[name] - len(kept),
            )
            for name, kept in first.items()
        ],
        len(colours) - len(names),
    )


def _prompt(row: Mapping[str, Any], colour: Colour) -> Prompt:
    about = next(iter(row["prompts"]), {})
    views: tuple[View, ...] = ()
    if row["thumbnail"] is not None:
        views = (
            view("photo", lambda: _photo(row)),
            view("object", lambda: _isolated(row, about["mask"], colour)),
        )
    return Prompt(
        key=row["key"],
        views=views,
        width=row["width"],
        height=row["height"],
        source=about.get("mask_source"),
        warning=row["error_message"] or about.get("warning") or "",
    )


def _photo(row: Mapping[str, Any]) -> Image:
    return decode(row["thumbnail"], _ANY_SHAPE)


def _isolated(row: Mapping[str, Any], mask: Any, colour: Colour) -> Image:  # noqa: ANN401  (RLE)
    photo = _photo(row)
    return isolate(photo, resized(decode_rle(mask), (photo.shape[1], photo.shape[0])), colour)
