"""Episodes for the galleries of a report: the example, what was found, the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.benchmarks.episode import Episode, Example, from_table
from ipseg.benchmarks.ground_truth import GroundTruth, ground_truth_at
from ipseg.errors import IpsegError
from ipseg.objects import Object
from ipseg.rows import Image
from ipseg.storage.addresses import fetch
from ipseg.vision.images import ImageLimits, MaskOrientation, decode_oriented, thumbnail
from ipseg.vision.masks import resized
from ipseg.vision.orientation import cropped
from ipseg.vision.overlay import COLOURS, Drawn, draw
from jobs.evaluation.outcome import Outcome
from jobs.pages.galleries import chance, in_turn
from jobs.pages.views import drawn, view

Key = tuple[str, int, str]  # fold, episode, variant
Predictions = Callable[[str, Collection[Key]], Mapping[Key, Sequence[Object]]]

_ROOM = 6  # episodes of one gallery
_LONG_SIDE = 400  # pixels of one image
FOUND, TRUE, EXAMPLE = COLOURS[0], COLOURS[3], COLOURS[1]
_NOT_JUDGED = (128, 128, 128)
# The run has accepted the image already, by limits of its own.
_ANY_SHAPE = ImageLimits(min_side=1, max_aspect=float("inf"))


@dataclass(frozen=True)
class Judged:
    """An episode that was measured.

    Attributes:
        fold, episode, class_name: as in the list.
        iou: intersection / union, in [0, 1].
        empty: nothing was found.
    """

    fold: str
    episode: int
    class_name: str
    iou: float
    empty: bool


def judged(results: pa.Table) -> list[Judged]:
    """Measured episodes of one setting; those in which both masks are empty have no IoU."""
    rows = results.filter(
        pc.and_(pc.equal(results["status"], "ok"), pc.greater(results["union"], 0))
    )
    names = ("fold", "episode", "class_name")
    return [
        Judged(*(row[n] for n in names), row["intersection"] / row["union"], not row["predicted"])
        for row in rows.select([*names, "intersection", "union", "predicted"]).to_pylist()
    ]


def worst(episodes: Sequence[Judged]) -> list[Judged]:
    """Lowest IoU, classes taking turns, so that one bad class does not fill the gallery."""
    return _in_turn(sorted(episodes, key=lambda e: (e.iou, _lot(e))))


def best(episodes: Sequence[Judged]) -> list[Judged]:
    """Highest IoU, classes taking turns."""
    return _in_turn(sorted(episodes, key=lambda e: (-e.iou, _lot(e))))


def by_lot(episodes: Sequence[Judged]) -> list[Judged]:
    """Some episodes, drawn by the hash of their numbers."""
    return sorted(episodes, key=_lot)[:_ROOM]


def draw_episodes(
    outcome: Outcome, variant: str, wanted: Collection[Judged], predictions: Predictions
) -> dict[Judged, dict[str, Any]]:
    """Some episodes of one setting.

    Returns:
        For each the `episode`, its `iou`, and `views`: the query with what was found, the first
        example, the ground truth.
    """
    if not wanted:
        return {}
    places = {(each.fold, each.episode): each for each in wanted}
    keys = zip(*(outcome.episodes[name].to_pylist() for name in ("fold", "episode")), strict=True)
    listed = from_table(outcome.episodes.filter(pa.array([key in places for key in keys])))
    found = predictions(outcome.out, [(e.fold, e.episode, variant) for e in listed])
    return {
        (each := places[episode.fold, episode.episode]): _tile(
            episode,
            each,
            found.get((episode.fold, episode.episode, variant)),
            outcome.evaluation["protocol"].get("mask_orientation", "stored"),
        )
        for episode in listed
    }


def _in_turn(ordered: Sequence[Judged]) -> list[Judged]:
    return in_turn(ordered, lambda each: each.class_name)[:_ROOM]


def _lot(each: Judged) -> float:
    return chance(f"{each.fold}/{each.episode}")


def _tile(
    episode: Episode, measured: Judged, found: Sequence[Object] | None, rule: MaskOrientation
) -> dict[str, Any]:
    found_or_not = "nothing found" if measured.empty else "found"
    views = (
        view(found_or_not, lambda: _found(episode.query, found, rule)),
        view("example", lambda: _masked(episode.supports[0], EXAMPLE, rule)),
        view("ground truth", lambda: _masked(episode.query, TRUE, rule)),
    )
    return {"episode": episode, "iou": measured.iou, "views": views}


def _masked(example: Example, colour: tuple[int, int, int], rule: MaskOrientation) -> Image:
    image, orientation = _read(example)
    truth = _truth(example, image, orientation, rule)
    painted = [Drawn(colour, truth.mask)]
    if truth.ignore is not None:
        painted.append(Drawn(_NOT_JUDGED, truth.ignore))
    return draw(thumbnail(image, _LONG_SIDE), painted, fill=0.35)


def _found(query: Example, found: Sequence[Object] | None, rule: MaskOrientation) -> Image:
    """All objects filled, with their points, and the outline of the ground truth if it is known."""
    image, orientation = _read(query)
    painted = thumbnail(image, _LONG_SIDE)
    # Without ground truth, the view of it beside this one says why.
    with suppress(OSError, IpsegError):
        truth = _truth(query, image, orientation, rule)
        painted = draw(painted, [Drawn(TRUE, truth.mask)], fill=0.0)
    size = (painted.shape[1], painted.shape[0])
    return draw(painted, [drawn(each, FOUND, size) for each in found or ()], fill=0.35)


def _read(example: Example) -> tuple[Image, int]:
    """The part of the image that counts, upright, and its EXIF orientation."""
    whole, orientation = decode_oriented(fetch(example.uri), _ANY_SHAPE)
    image = cropped(whole, example.crop, orientation)
    if not image.size:
        raise IpsegError(f"the box {example.crop} holds nothing of {example.key}")
    return np.ascontiguousarray(image), orientation


def _truth(example: Example, image: Image, orientation: int, rule: MaskOrientation) -> GroundTruth:
    """The ground truth at the size of the reduced image."""
    size = (image.shape[1], image.shape[0])
    truth = ground_truth_at(example.ground_truth, size, example.crop, orientation, rule)
    small = thumbnail(image, _LONG_SIDE)
    size = (small.shape[1], small.shape[0])
    void = None if truth.ignore is None else resized(truth.ignore, size)
    return replace(truth, mask=resized(truth.mask, size), ignore=void)
