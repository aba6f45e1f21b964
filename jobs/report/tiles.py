"""The images of the report: rows with their masks and points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipseg.objects import Object, best_scores, highest, notable
from ipseg.rows import Image
from ipseg.vision.images import thumbnail
from ipseg.vision.overlay import Colour, draw
from jobs.pages.readable import readable_count
from jobs.pages.views import View, css, drawn, view
from jobs.report.survey import ious_of

LONG_SIDE = 460  # pixels of an image in the gallery; sharp enough on a phone


@dataclass(frozen=True)
class Found:
    """What is said about one concept below an image.

    Attributes:
        concept: its name.
        colour: CSS colour of its outline.
        score: the highest of its objects, None if none was found.
        iou: with the ground truth, None where there is none.
        instances: of it that were found; those of a sequence each once, whatever its frames.
    """

    concept: str
    colour: str
    score: float | None
    iou: float | None
    instances: int


@dataclass(frozen=True)
class Tile:
    """One row in a gallery.

    Attributes:
        key: of the row.
        views: the image; of a sequence the first frame with objects and a middle one.
        note: how many frames and instances a sequence has; "" for an image.
        found: the concepts that are drawn.
        rival: the concept that scored highest without being there, if above all that are.
    """

    key: str
    views: tuple[View, ...]
    note: str
    found: list[Found]
    rival: Found | None


def row_tile(
    row: Mapping[str, Any],
    originals: Callable[[], Sequence[Image]],
    colours: Mapping[str, Colour],
) -> Tile:
    """A row with what was found in it.

    With ground truth, the concepts that are in the image are drawn, or the one with the highest
    score where none is. Without, those whose score comes near the highest.

    Args:
        row: all columns of a finished row.
        originals: opens the frames of the row, one for a still image.
        colours: concept -> colour.
    """
    objects = [Object.from_record(each) for each in row["objects"]]
    scores = best_scores(objects)
    ious = ious_of(row["metrics"])
    present = [concept for concept, iou in ious.items() if iou is not None]
    best = highest(scores)
    if ious:
        chosen = present or [concept for concept in scores if concept == best]
    else:
        chosen = notable(scores)

    def found(concept: str) -> Found:
        instances = {each.instance for each in objects if each.concept == concept}
        colour = css(colours[concept])
        return Found(concept, colour, scores.get(concept), ious.get(concept), len(instances))

    kept = [each for each in objects if each.concept in chosen]
    absent = [concept for concept, iou in ious.items() if iou is None]
    views, note = _views(kept, originals, colours)
    return Tile(
        key=row["key"],
        views=views,
        note=note,
        found=[found(concept) for concept in chosen],
        rival=found(best) if present and best in absent else None,
    )


def _views(
    objects: Sequence[Object],
    originals: Callable[[], Sequence[Image]],
    colours: Mapping[str, Colour],
) -> tuple[tuple[View, ...], str]:
    """The frames to draw, and how many there are; a still image has one and needs no words."""
    try:
        images = originals()
        count = len(images)
    except Exception as error:  # noqa: BLE001  (each storage raises its own)
        reason = error  # the row is still worth its scores
        return (view("", lambda: _raise(reason)),), ""
    busy = sorted({each.frame for each in objects}) or [0]
    frames = list(dict.fromkeys([busy[0], busy[len(busy) // 2]]))
    views = tuple(
        view(
            f"frame {frame}" if count > 1 else "",
            lambda frame=frame: _drawn(images[frame], objects, frame, colours),
        )
        for frame in frames
    )
    if count == 1:
        return views, ""
    instances = len({(each.concept, each.instance) for each in objects})
    plural = "" if instances == 1 else "s"
    return views, f"{readable_count(count)} frames, {readable_count(instances)} instance{plural}"


def _raise(error: Exception) -> Image:
    raise error


def _drawn(
    image: Image, objects: Sequence[Object], frame: int, colours: Mapping[str, Colour]
) -> Image:
    small = thumbnail(image, LONG_SIDE)
    size = (small.shape[1], small.shape[0])
    ordered = sorted(objects, key=lambda each: each.score)  # the highest score on top
    there = [drawn(each, colours[each.concept], size) for each in ordered if each.frame == frame]
    return draw(small, there, fill=0.35)
