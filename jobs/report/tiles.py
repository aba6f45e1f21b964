"""The images of the report: rows with their masks and points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ipseg.objects import Object, best_scores, highest, notable, without_weak
from ipseg.rows import Image
from ipseg.vision.images import thumbnail
from ipseg.vision.overlay import Colour, draw
from jobs.pages.views import View, css, drawn, film, view
from jobs.report.survey import ious_of
from pipeline.labels.calibration import Calibration, probabilities
from pipeline.labels.review import Review

_PLAYED = 16  # frames of a sequence, about
LONG_SIDE = 460  # pixels of an image in the gallery; sharp enough on a phone


def row_tile(
    row: Mapping[str, Any],
    originals: Callable[[], Sequence[Image]],
    colours: Mapping[str, Colour],
    review: Review,
    calibration: Calibration | None,
) -> dict[str, Any]:
    """A row with what was found in it, and what people left of that.

    With ground truth, the concepts that are in the image are drawn, or the one with the highest
    score where none is. Without, those whose score comes near the highest.

    Args:
        row: all columns of a finished row.
        originals: opens the frames of the row, one for a still image.
        colours: concept -> colour.
        review: of the run.
        calibration: of the run, if it has one.

    Returns:
        `key` of the row; `views` (the image; of a sequence the first frame with objects, and those
        up to the last such frame as a film); how many `frames` and `instances` it has; `found`, the
        concepts that are drawn; `rival`, the one that scored highest without being there, if above
        all that are, else None; and `left_out`, those that are not drawn, the highest score first.
        Of each concept `concept`, `colour`, its highest `score`, the `probability` that this mask
        is good, and its `iou` (each or None), and its `instances`; those of a sequence each once,
        whatever its frames.
    """
    objects = without_weak(review.apply(row["key"], map(Object.from_record, row["objects"])))
    scores = best_scores(objects)
    ious = ious_of(row["metrics"])
    present = [concept for concept, iou in ious.items() if iou is not None]
    best = highest(scores)
    if ious:
        chosen = present or [concept for concept in scores if concept == best]
    else:
        chosen = notable(scores)

    def found(concept: str) -> dict[str, Any]:
        mine = [each for each in objects if each.concept == concept]
        likely = probabilities(calibration, mine)
        return {
            "concept": concept,
            "colour": css(colours[concept]),
            "score": scores.get(concept),
            "probability": max((each for each in likely if each is not None), default=None),
            "iou": ious.get(concept),
            "instances": len({each.instance for each in mine}),
        }

    kept = [each for each in objects if each.concept in chosen]
    others = sorted(scores.keys() - {*chosen}, key=lambda concept: (-scores[concept], concept))
    absent = [concept for concept, iou in ious.items() if iou is None]
    views, frames = _views(kept, originals, colours)
    return {
        **{"key": row["key"], "views": views, "frames": frames},
        "instances": len({(each.concept, each.instance) for each in kept}),
        "found": [found(concept) for concept in chosen],
        "rival": found(best) if present and best in absent else None,
        "left_out": [found(concept) for concept in others],
    }


def _views(
    objects: Sequence[Object],
    originals: Callable[[], Sequence[Image]],
    colours: Mapping[str, Colour],
) -> tuple[tuple[View, ...], int]:
    """The frames to draw, and how many there are."""
    try:
        images = originals()
        count = len(images)
    except Exception as error:  # noqa: BLE001  (each storage raises its own)
        reason = error  # the row is still worth its scores
        return (view("", lambda: _raise(reason)),), 1
    busy = sorted({each.frame for each in objects}) or [0]
    first, last = busy[0], busy[-1]

    def paint(frame: int) -> Image:
        return _drawn(images[frame], objects, frame, colours)

    still = view(f"frame {first}" if count > 1 else "", lambda: paint(first))
    if first == last:
        return (still,), count
    step = max(1, round((last - first) / (_PLAYED - 1)))
    played = range(first, last + 1, step)
    often = "" if step == 1 else f", one in {step}"
    moving = film(f"frames {first} to {last}{often}", lambda: [*map(paint, played)])
    return (still, moving), count


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
