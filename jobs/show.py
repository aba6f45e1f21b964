"""`ipseg show`: one row of a run, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ipseg.errors import ImageError, OutputError, SourceError, StorageError
from ipseg.objects import Object, best_scores, notable
from ipseg.vision.images import ImageLimits, encode_png
from ipseg.vision.overlay import Drawn, colour_of, draw
from jobs.originals import originals
from jobs.output import print_json, write_file
from jobs.pages.readable import NONE
from jobs.terminal import plain
from pipeline.runfolder.ledger import BROKEN
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import find_place, read_place


def show_row(
    run: str, key: str, out: Path, *, frame: int, min_score: float | None, as_json: bool
) -> None:
    """Draws masks and points of one row on its image.

    Args:
        run: folder of the run.
        key: of the row.
        out: image to write.
        frame: of a sequence; 0 for a still image.
        min_score: objects below are left out; None leaves out concepts far from the best.
        as_json: print a summary as JSON, not as a table.

    Raises:
        OutputError: no such run, key or frame, the row failed, or the image is gone.
    """
    run = run.rstrip("/")
    manifest = Manifest.read(run)
    if manifest is None:
        raise OutputError(f"no run at {run}: it has no manifest.json")
    place = find_place(run, key)
    row = read_place(place)
    if row["row_status"] in BROKEN:
        raise OutputError(
            f"{key} failed in stage '{row['error_stage']}' ({row['error_type']}): "
            f"{row['error_message']}"
        )
    limits = ImageLimits(**manifest.about["config"]["images"])
    try:
        images = originals(run, place, row, limits)
        if frame >= len(images):
            last = f"0 to {len(images) - 1}" if len(images) > 1 else "0 only, it is a still image"
            raise OutputError(f"{key} has no frame {frame}; it has {last}")
        image = images[frame]
    except (OSError, ImageError, SourceError, StorageError) as error:
        raise OutputError(f"cannot read the image of {key}: {error}") from error
    objects = [Object.from_record(each) for each in row["objects"]]
    kept = notable(best_scores(objects), min_score)
    there = sorted(  # the highest score on top
        (
            each
            for each in objects
            if each.frame == frame
            and each.concept in kept
            and (min_score is None or each.score >= min_score)
        ),
        key=lambda each: each.score,
    )
    names = manifest.about["concepts"] or sorted({each.concept for each in objects})
    write_file(out, encode_png(draw(image, [_drawn(each, names) for each in there])))
    if as_json:
        summary = [_summary(each) for each in there]
        found = {"out": str(out), "key": key, "frame": frame, "frames": len(images)}
        print_json({**found, "objects": summary})
        return
    console = Console()
    console.print(_table(there, row["width"] * row["height"]))
    if len(images) > 1:
        console.print(f"frame {frame} of {len(images)}")
    console.print(plain(f"image: {out}"), soft_wrap=True)


def _drawn(each: Object, names: Sequence[str]) -> Drawn:
    label = f"{_title(each)} {each.score:.2f}"
    return Drawn(colour_of(names.index(each.concept)), each.mask, each.points, label)


def _title(each: Object) -> str:
    """The concept, with the number of the instance and the settings that found it if need be."""
    number = f" #{each.instance}" if each.instance else ""
    return f"{each.concept}{number}" + (f" ({each.variant})" if each.variant else "")


def _summary(each: Object) -> Mapping[str, Any]:
    return {
        **{name: getattr(each, name) for name in ("concept", "instance", "variant", "score")},
        **{name: getattr(each, name) for name in ("predicted_iou", "bbox", "area")},
        "evidence": dict(each.evidence),
    }


def _table(objects: Sequence[Object], pixels: int) -> Table:
    table = Table("concept", "score", "predicted IoU", "area", "evidence")
    for each in objects:
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
