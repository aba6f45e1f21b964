"""Episodes for the galleries of a report: the example, what was found, the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ipseg.benchmarks.episode import Episode, Example, from_table
from ipseg.benchmarks.ground_truth import GroundTruth, read_ground_truth
from ipseg.errors import IpsegError
from ipseg.objects import Object
from ipseg.rows import Image
from ipseg.storage.addresses import fetch
from ipseg.vision.images import ImageLimits, decode, thumbnail
from ipseg.vision.overlay import COLOURS, Drawn, draw
from jobs.evaluation.outcome import Outcome
from jobs.pages.galleries import chance, in_turn
from jobs.pages.views import drawn, resized, view

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
            episode, each, found.get((episode.fold, episode.episode, variant))
        )
        for episode in listed
    }


def _in_turn(ordered: Sequence[Judged]) -> list[Judged]:
    return in_turn(ordered, lambda each: each.class_name)[:_ROOM]


def _lot(each: Judged) -> float:
    return chance(f"{each.fold}/{each.episode}")


def _tile(episode: Episode, measured: Judged, found: Sequence[Object] | None) -> dict[str, Any]:
    found_or_not = "nothing found" if measured.empty else "found"
    views = (
        view(found_or_not, lambda: _found(episode.query, found)),
        view("example", lambda: _masked(episode.supports[0], EXAMPLE)),
        view("ground truth", lambda: _masked(episode.query, TRUE)),
    )
    return {"episode": episode, "iou": measured.iou, "views": views}


def _masked(example: Example, colour: tuple[int, int, int]) -> Image:
    image = _image(example)
    truth = _truth(example, image)
    painted = [Drawn(colour, truth.mask)]
    if truth.ignore is not None:
        painted.append(Drawn(_NOT_JUDGED, truth.ignore))
    return draw(image, painted, fill=0.35)


def _found(query: Example, found: Sequence[Object] | None) -> Image:
    """All objects filled, with their points, and the outline of the ground truth if it is known."""
    image = _image(query)
    try:
        painted = draw(image, [Drawn(TRUE, _truth(query, image).mask)], fill=0.0)
    except (OSError, IpsegError):
        painted = image  # the view of the ground truth beside this one says why
    size = (image.shape[1], image.shape[0])
    return draw(painted, [drawn(each, FOUND, size) for each in found or ()], fill=0.35)


def _image(example: Example) -> Image:
    image = decode(fetch(example.uri), _ANY_SHAPE)
    return thumbnail(_cropped(image, example), _LONG_SIDE)


def _truth(example: Example, image: Image) -> GroundTruth:
    """The ground truth at the size of the reduced image."""
    size = (image.shape[1], image.shape[0])
    truth = read_ground_truth(example.ground_truth)
    mask = resized(_cropped(truth.mask, example), size)
    if truth.ignore is None:
        return replace(truth, mask=mask)
    return GroundTruth(mask, resized(_cropped(truth.ignore, example), size))


def _cropped(pixels: Any, example: Example) -> Any:  # noqa: ANN401  (an image or a mask)
    if example.crop is None:
        return pixels
    left, top, right, bottom = example.crop
    part = pixels[max(0, top) : bottom, max(0, left) : right]
    if not part.size:
        raise IpsegError(f"the box {example.crop} holds nothing of {example.key}")
    return part
