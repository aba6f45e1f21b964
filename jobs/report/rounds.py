"""What a second round changed, for the report: numbers of each concept, and images side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ipseg.vision.overlay import Colour
from jobs.pages.galleries import Gallery
from jobs.pages.views import css
from pipeline.labels.rounds import compare_rounds
from pipeline.runfolder.parts import Place

Tile = Callable[[str, Place], dict[str, Any]]


def rounds_of(
    before: str, after: str, colours: Mapping[str, Colour], tile: Tile
) -> tuple[dict[str, Any], Gallery | None]:
    """The section about an earlier round.

    Args:
        before: run folder of the earlier round.
        after: run folder of the report.
        colours: concept -> colour.
        tile: draws the row at a place of a run folder.

    Returns:
        What the template fills in, and a gallery of the images that changed most, if any did.

    Raises:
        OutputError: the earlier round is no run, or cannot be read.
    """
    rounds = compare_rounds(before, after)
    concepts = [
        {"name": name, "colour": css(colours[name]), **asdict(rounds.changes[name])}
        for name in colours
    ]
    tiles = [_side_by_side(tile(before, was), tile(after, now)) for was, now in rounds.largest]
    gallery = Gallery("Largest changes", "Before, and now.", tiles) if tiles else None
    counts = {"images": rounds.images, "replaced": rounds.replaced}
    return {"before": before, **counts, "concepts": concepts}, gallery


def _side_by_side(was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    views = [replace(was["views"][0], title="before"), replace(now["views"][0], title="now")]
    return {**now, "views": views}
