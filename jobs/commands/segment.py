"""`ipseg segment`: segment a collection."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from ipseg.errors import IpsegError
from jobs.commands.collection import PROMPT_EXAMPLES, Running, Segmenting
from jobs.commands.grouped import grouped
from jobs.commands.options import Json, RunFolder

log = logging.getLogger("ipseg")

EPILOG = f"""
[bold]Examples[/bold]

One concept, a folder of photos:

    ipseg segment --images photos/ --prompts prompts/ --out masks/

where prompts/cup.jpg shows a cup. Several concepts, several prompts each, one with its own mask:

    prompts/cup/1.jpg  prompts/cup/2.jpg  prompts/cup/2.mask.png  prompts/cat.jpg
{PROMPT_EXAMPLES.format(verb="segment")}
The prompts of an earlier run again, without their images:

    ipseg segment --images more-photos/ --prompt-bank masks/ --out more-masks/

Parquet with images or paths, WebDataset tars, object storage:

    ipseg segment --images 's3://bucket/shards/*.tar' --prompts prompts/ --out s3://bucket/masks

Started again, the same command goes on where it was, and takes up new files:

    ipseg segment --images photos/ --prompts prompts/ --out masks/ --retry failed

Measure against ground truth (masks/cup/a/b.png for photos/a/b.jpg), with another number of points:

    ipseg segment --images photos/ --prompts prompts/ --masks masks/ --out run/ --set points.k=16

The default profile 'classical' needs no download. It finds the same object or a look-alike by
colour, texture and local features; it knows nothing of categories.
"""


@grouped
def segment(
    out: RunFolder,
    collection: Segmenting,
    running: Running,
    masks: Annotated[
        str | None,
        typer.Option(help="Ground truth to compare with: DIR/<concept>/b.png for b.jpg."),
    ] = None,
    check_content: Annotated[
        bool,
        typer.Option(
            "--check-content",
            help="Compare the bytes of all images with those of the finished rows; by default only "
            "where size, time or ETag have changed.",
        ),
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Size the pools by the cost of the first images.")
    ] = False,
    json: Json = False,
) -> None:
    """Find the prompts' concepts in a collection and write masks to Parquet shards."""
    start = running.start()
    log.info("segmenting %s into %s, profile %s", collection.images, out, collection.starts_from)
    from jobs.segment import print_run
    from pipeline.segment import segment

    more = {"masks": masks, "calibrated": calibrate, "check_content": check_content}
    run = segment(collection.request(out=out, **start, **more))
    print_run(run, as_json=json)
    if not run.counts["ok"] and not run.counts["empty"]:
        raise IpsegError(f"every row failed; see `ipseg errors {run.out}`")
