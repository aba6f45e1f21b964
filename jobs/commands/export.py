"""`ipseg export`: the labels of a run in the formats of other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ipseg.errors import ConfigError
from jobs.commands import options
from jobs.commands.options import Json

FORMATS = (
    "coco, coco-panoptic, yolo-seg, voc, png, hf (Parquet for datasets), webdataset, labelstudio "
    "or cvat"
)

EPILOG = """
[bold]Examples[/bold]

What an export would have, without writing anything:

    ipseg export masks/ --format coco --threshold suggested --dry-run

For training with ultralytics, a fifth of the images for validation, no overlaps:

    ipseg export masks/ --format yolo-seg --to yolo/ --split train=0.8,val=0.2 --exclusive

Only what people have accepted in a review, as COCO; images of one folder stay together:

    ipseg export masks/ --format coco --to coco/ --reviewed only --split train=0.9,val=0.1 \\
        --split-by folder

Sides that the source names itself (the run carried its column with --carry):

    ipseg export masks/ --format hf --to s3://bucket/labels --split-column split

Annotations alone; images stay where they are:

    ipseg export masks/ --format coco --to coco/ --images refer

Images and objects keep their numbers when the export is made again, also after the run has gone
on. The folder is replaced, and with the same run and options not a byte changes. Which format for
whom, how to load each, and what each cannot hold: docs/export.md.

Exit codes: 0; 3 if images could not be read, and are left out; 1 if the export could not be made;
2 if the call was wrong.
"""


def export(
    run: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    format: Annotated[str, typer.Option(help=f"One of {FORMATS}.")],
    to: Annotated[
        str | None, typer.Option(help="Folder to write, a new one; a path or any fsspec URL.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out objects with a lower score.")
    ] = None,
    threshold: Annotated[
        Literal["suggested", "calibrated"] | None,
        typer.Option(
            help="Least score of each concept: suggested, by the shape of its scores, or "
            "calibrated, by `ipseg calibrate`.",
        ),
    ] = None,
    exclusive: Annotated[
        bool,
        typer.Option(
            "--exclusive", help="Where objects claim the same pixels, the surer one keeps them."
        ),
    ] = False,
    min_area: Annotated[
        int, typer.Option(min=0, metavar="PIXELS", help="Leave out smaller objects.")
    ] = 0,
    reviewed: Annotated[
        Literal["only", "prefer"] | None,
        typer.Option(
            help="only: what people accepted; prefer: in images that nobody reviewed the rest too.",
        ),
    ] = None,
    split: options.Split = None,
    split_by: options.SplitBy = "key",
    split_column: options.SplitColumn = None,
    salt: options.Salt = "ipseg",
    images: Annotated[
        Literal["copy", "link", "refer"],
        typer.Option(
            help="copy (upright, without the EXIF tag), link (hard links where possible), or refer "
            "to them where they are.",
        ),
    ] = "copy",
    segmentation: Annotated[
        Literal["rle", "polygon"],
        typer.Option(help="coco: rle, or polygon (a mask with a hole stays rle)."),
    ] = "rle",
    bridge_holes: Annotated[
        bool,
        typer.Option(
            "--bridge-holes", help="coco polygons: join holes to the outline by a double line."
        ),
    ] = False,
    simplify: Annotated[
        float,
        typer.Option(min=0, metavar="PIXELS", help="coco polygons: fewer corners, at most so off."),
    ] = 0.0,
    parts: Annotated[
        Literal["join", "split"],
        typer.Option(help="yolo-seg: join the parts of an object by a line, or split it in rows."),
    ] = "join",
    per_file: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="coco, hf, webdataset, labelstudio, cvat: images in a file; default: as usual.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would have, and write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the labels of a run for training or annotation tools: COCO, YOLO, VOC and others."""
    from jobs.export import print_export
    from pipeline.export.export import export, preview
    from pipeline.export.request import Request
    from pipeline.export.writer import Options
    from pipeline.labels.selection import select

    if to is None and not dry_run:
        raise ConfigError("give --to FOLDER, or --dry-run to see what would be in it")
    if min_score is not None and threshold is not None:
        raise ConfigError("--min-score and --threshold exclude each other")
    run = run.rstrip("/")
    selection = select(
        run,
        min_score=min_score or 0.0,
        threshold=threshold,
        exclusive=exclusive,
        min_area=min_area,
        reviewed=reviewed,
    )
    request = Request(
        out=run,
        format=format,
        selection=selection,
        splits=options.splits_of(split, split_by, split_column, salt),
        handling=images,
        options=Options(
            segmentation=segmentation,
            bridge_holes=bridge_holes,
            tolerance=simplify,
            parts=parts,
            per_file=per_file,
        ),
    )
    done = preview(request) if dry_run or to is None else export(request, to)
    print_export(done, as_json=json)
    if done.tally.left_out:
        raise typer.Exit(3)
