"""The pictures of the report: rows with their masks and points, prompts with their objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ipseg.objects import highest, notable
from ipseg.rows import Image, Mask
from ipseg.storage.addresses import fetch
from ipseg.vision.images import ImageLimits, decode, encode_jpeg, thumbnail
from ipseg.vision.masks import decode_rle
from ipseg.vision.overlay import Colour, Drawn, draw, isolate
from jobs.report.survey import best_scores

LONG_SIDE = 460  # pixels of a picture in the gallery; sharp enough on a phone
QUALITY = 80  # of the JPEG pictures in a report
_REASON_LENGTH = 160


@dataclass(frozen=True)
class Found:
    """What is said about one concept below a picture.

    Attributes:
        concept: its name.
        colour: CSS colour of its outline.
        score: of the object, None if none was found.
        iou: with the ground truth, None where there is none.
    """

    concept: str
    colour: str
    score: float | None
    iou: float | None


@dataclass(frozen=True)
class Tile:
    """One row in a gallery.

    Attributes:
        key: of the row.
        picture: data URI, or "" if the picture could not be had.
        reason: why not.
        width, height: of the picture, in pixels; for the shape of what stands in for it.
        found: the concepts drawn.
        rival: the concept that scored highest without being there, if above all that are.
    """

    key: str
    picture: str
    reason: str
    width: int
    height: int
    found: list[Found]
    rival: Found | None


def css(colour: Colour) -> str:
    """A colour as CSS takes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def data_uri(jpeg: bytes) -> str:
    """A JPEG file as an address that holds the whole file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def reason_of(error: Exception) -> str:
    """Why a picture is not there, short enough to stand in its place."""
    return f"{type(error).__name__}: {error}"[:_REASON_LENGTH]


def row_tile(row: Mapping[str, Any], colours: Mapping[str, Colour], limits: ImageLimits) -> Tile:
    """The picture of a row with what was found in it.

    With ground truth, the concepts that are in the picture are drawn, or the one with the highest
    score where none is. Without, those whose score comes near the highest.

    Args:
        row: all columns of a finished row.
        colours: concept -> colour.
        limits: sizes of pictures that the run accepted.
    """
    scores = best_scores(row)
    ious = {m["concept"]: m["iou"] for m in row["metrics"] or () if m["present"]}
    best = highest(scores)
    if row["metrics"]:
        shown = list(ious) or [concept for concept in scores if concept == best]
    else:
        shown = notable(scores)
    rival = None
    if ious and best is not None and best not in ious:
        rival = _found(best, scores, ious, colours)
    picture, reason, size = "", "", (row["width"] or 4, row["height"] or 3)
    try:
        image = decode(fetch(row["uri"]), limits)
    except Exception as error:  # noqa: BLE001  (each storage raises its own)
        # The run is finished; that a picture has moved since is no reason to have no report.
        reason = reason_of(error)
    else:
        size = (image.shape[1], image.shape[0])
        picture = data_uri(encode_jpeg(_overlay(image, row, shown, colours), QUALITY))
    return Tile(
        key=row["key"],
        picture=picture,
        reason=reason,
        width=size[0],
        height=size[1],
        found=[_found(concept, scores, ious, colours) for concept in shown],
        rival=rival,
    )


def prompt_pictures(prompt: Mapping[str, Any], colour: Colour) -> tuple[str, str]:
    """A prompt photo, and the same with all but the prompt object dimmed, as data URIs."""
    photo = decode(prompt["thumbnail"])
    size = (photo.shape[1], photo.shape[0])
    mask = resized(decode_rle(prompt["mask"]), size)
    isolated = isolate(photo, mask, colour)
    return data_uri(encode_jpeg(photo, QUALITY)), data_uri(encode_jpeg(isolated, QUALITY))


def _found(
    concept: str,
    scores: Mapping[str, float],
    ious: Mapping[str, float],
    colours: Mapping[str, Colour],
) -> Found:
    return Found(concept, css(colours[concept]), scores.get(concept), ious.get(concept))


def _overlay(
    image: Image, row: Mapping[str, Any], shown: Sequence[str], colours: Mapping[str, Colour]
) -> Image:
    """Drawn on the reduced picture, so that lines and dots keep their width."""
    small = thumbnail(image, LONG_SIDE)
    size = (small.shape[1], small.shape[0])
    scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0], 1.0])
    objects = []
    for item in row["objects"] or ():
        if item["concept"] in shown:
            points = [(p["x"], p["y"], p["label"]) for p in item["points"] or ()]
            objects.append(
                Drawn(
                    colour=colours[item["concept"]],
                    mask=resized(decode_rle(item["segmentation"]), size),
                    points=np.array(points, np.float64).reshape(-1, 3) * scale,
                )
            )
    return draw(small, objects, fill=0.35)


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at (width, height): a pixel is in if at least half of it is."""
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return share >= 0.5
