"""`ipseg show`: rows of a run, drawn: one at its full size, or several on one contact sheet."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from ipseg.errors import ImageError, OutputError, SourceError, StorageError
from ipseg.objects import Object, best_scores, notable, without_weak
from ipseg.rows import Image
from ipseg.vision.images import ImageLimits, encode_png
from ipseg.vision.overlay import Drawn, Tile, colour_of, draw, grid
from jobs.originals import originals
from jobs.output import print_json, write_file
from jobs.pages.galleries import chance
from jobs.pages.readable import NONE
from jobs.pages.views import drawn
from jobs.terminal import plain
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import Place, read_place, read_placed

_TILE = 320  # pixels of an image on a sheet


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn of a row.

    Attributes:
        frame: of a sequence; 0 for a still image.
        min_score: objects below are left out; None leaves out concepts far from the best.
    """

    frame: int = 0
    min_score: float | None = None


@dataclass(frozen=True)
class Seen:
    """A row that can be drawn.

    Attributes:
        key: of the row.
        image: the frame.
        frames: how many there are.
        objects: to draw, the highest score last, concepts by the names that people know.
        left_out: concept -> its highest score, of those that are not drawn in this frame.
    """

    key: str
    image: Image
    frames: int
    objects: Sequence[Object]
    left_out: Mapping[str, float]


def show_rows(
    run: str,
    keys: Sequence[str],
    out: Path,
    drawing: Drawing,
    *,
    sample: int | None = None,
    seed: int = 0,
    as_json: bool,
) -> None:
    """Draws masks and points of rows on their images; the run may still be going on.

    Args:
        run: folder of the run.
        keys: of rows; several are drawn on one sheet.
        out: image to write.
        drawing: what is drawn of each.
        sample: so many rows drawn by lot as well, of those that have not failed; None for none.
        seed: of the lot.
        as_json: print a summary as JSON, not as a table.

    Raises:
        OutputError: no such run, key or frame, a row failed, or its image is gone.
    """
    run = run.rstrip("/")
    manifest = Manifest.read(run)
    if manifest is None:
        raise OutputError(f"no run at {run}: it has no manifest.json")
    places = _places(manifest, keys)
    if sample is not None:
        places |= {place.key: place for place in _sampled(run, sample, seed)}
    limits = ImageLimits(**manifest.about["config"]["images"])
    seen = [_seen(run, place, limits, drawing) for place in places.values()]
    names = manifest.about["concepts"] or sorted({o.concept for s in seen for o in s.objects})
    if len(seen) == 1:
        painted = [_drawn(each, names) for each in seen[0].objects]
        write_file(out, encode_png(draw(seen[0].image, painted)))
    else:
        write_file(out, encode_png(grid([_tile(each, names) for each in seen], tile=_TILE)))
    if as_json:
        rows = [_summary(each, drawing.frame) for each in seen]
        print_json(
            {"out": str(out), **rows[0]} if len(rows) == 1 else {"out": str(out), "rows": rows}
        )
        return
    console = Console()
    if len(seen) == 1:
        console.print(_table(seen[0]))
        if seen[0].frames > 1:
            console.print(f"frame {drawing.frame} of {seen[0].frames}")
        if seen[0].left_out:
            console.print(plain(f"{_left_out(seen[0])}; --min-score 0 draws them"), soft_wrap=True)
    console.print(plain(f"image: {out}"), soft_wrap=True)


def _places(manifest: Manifest, keys: Sequence[str]) -> dict[str, Place]:
    """Key -> where its row is, in the order of the keys."""
    if not keys:
        return {}
    wanted, found = set(keys), dict[str, Place]()
    for place, _ in read_placed(manifest.out, ["key"]):
        if place.key in wanted:
            found[place.key] = place
            if len(found) == len(wanted):
                break
    if missing := [key for key in keys if key not in found]:
        yet = "" if manifest.runs[-1]["finished"] else " yet; the run is not finished"
        raise OutputError(f"{manifest.out} has no row with key {missing[0]!r}{yet}")
    return {key: found[key] for key in keys}


def _sampled(run: str, number: int, seed: int) -> list[Place]:
    """Rows drawn by the hashes of their keys: the same whenever the same rows are there."""
    good = (
        place for place, row in read_placed(run, ["row_status"]) if row["row_status"] not in BROKEN
    )
    chosen = heapq.nsmallest(number, good, key=lambda place: chance(f"{seed} {place.key}"))
    if not chosen:
        raise OutputError(f"every row of {run} failed; see `ipseg errors {run}`")
    return chosen


def _seen(run: str, place: Place, limits: ImageLimits, drawing: Drawing) -> Seen:
    row, key = read_place(place), place.key
    if row["row_status"] in BROKEN:
        raise OutputError(
            f"{key} failed in stage '{row['error_stage']}' ({row['error_type']}): "
            f"{row['error_message']}"
        )
    try:
        images = originals(run, place, row, limits)
        if drawing.frame >= len(images):
            last = f"0 to {len(images) - 1}" if len(images) > 1 else "0 only, it is a still image"
            raise OutputError(f"{key} has no frame {drawing.frame}; it has {last}")
        image = images[drawing.frame]
    except (OSError, ImageError, SourceError, StorageError) as error:
        raise OutputError(f"cannot read the image of {key}: {error}") from error
    names = _names(row["metrics"])
    objects = [
        replace(each, concept=names.get(each.concept, each.concept))
        for each in map(Object.from_record, row["objects"])
    ]
    kept = notable(best_scores(objects), drawing.min_score)
    here = [each for each in objects if each.frame == drawing.frame]
    strong = without_weak(here) if drawing.min_score is None else here
    there = [
        each for each in strong if each.concept in kept and each.score >= (drawing.min_score or 0)
    ]
    drawn_ones = {each.concept for each in there}
    left = best_scores(each for each in here if each.concept not in drawn_ones)
    return Seen(key, image, len(images), sorted(there, key=lambda each: each.score), left)


def _names(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Entry of the bank -> what its objects are called.

    In an evaluation an entry is named after its examples; two of one class differ by the episode.
    """
    episodes = {m["concept"]: (m["class_name"], m.get("episode")) for m in metrics}
    classes = [name for name, _ in episodes.values()]
    return {
        entry: name if classes.count(name) == 1 else f"{name}, episode {episode}"
        for entry, (name, episode) in episodes.items()
    }


def _drawn(each: Object, names: Sequence[str]) -> Drawn:
    return Drawn(colour_of(names.index(each.concept)), each.mask, each.points, _label(each))


def _tile(seen: Seen, names: Sequence[str]) -> Tile:
    height, width = seen.image.shape[:2]
    scale = _TILE / max(height, width)  # enlarged where it is smaller: labels need room
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize(seen.image, size, interpolation=how)
    painted = [
        replace(drawn(each, colour_of(names.index(each.concept)), size), label=_label(each))
        for each in seen.objects
    ]
    note = "" if seen.objects else "nothing found"
    return Tile(draw(image, painted), seen.key, note=_left_out(seen) if seen.left_out else note)


def _left_out(seen: Seen) -> str:
    """The concepts that were found, but are not drawn."""
    ordered = sorted(seen.left_out.items(), key=lambda each: -each[1])
    return "left out: " + ", ".join(f"{concept} {score:.2f}" for concept, score in ordered)


def _label(each: Object) -> str:
    return f"{_title(each)} {each.score:.2f}"


def _title(each: Object) -> str:
    """The concept, with the number of the instance and the settings that found it if need be."""
    number = f" #{each.instance}" if each.instance else ""
    return f"{each.concept}{number}" + (f" ({each.variant})" if each.variant else "")


def _summary(seen: Seen, frame: int) -> dict[str, Any]:
    return {
        **{"key": seen.key, "frame": frame, "frames": seen.frames},
        "objects": [_object(each) for each in seen.objects],
        "left_out": dict(seen.left_out),
    }


def _object(each: Object) -> dict[str, Any]:
    return {
        **{name: getattr(each, name) for name in ("concept", "instance", "variant", "score")},
        **{name: getattr(each, name) for name in ("predicted_iou", "bbox", "area")},
        "evidence": dict(each.evidence),
    }


def _table(seen: Seen) -> Table:
    table = Table("concept", "score", "predicted IoU", "area", "evidence")
    pixels = seen.image.shape[0] * seen.image.shape[1]
    for each in seen.objects:
        predicted = NONE if each.predicted_iou is None else f"{each.predicted_iou:.3f}"
        evidence = (
            f"{name} {NONE if value is None else f'{value:.3f}'}"
            for name, value in each.evidence.items()
        )
        table.add_row(
            plain(_title(each)),
            f"{each.score:.3f}",
            predicted,
            f"{each.area / pixels:.1%}",
            plain(", ".join(evidence)),
        )
    return table
