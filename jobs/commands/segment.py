"""`ipseg segment`: segment a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from ipseg.errors import ConfigError, IpsegError
from jobs.commands.options import Json, Profile, Settings

EPILOG = """
[bold]Examples[/bold]

One concept, a folder of photos:

    ipseg segment --images photos/ --prompts prompts/ --out masks/

where prompts/cup.jpg shows a cup. Several concepts, several prompts each, one with its own mask:

    prompts/cup/1.jpg  prompts/cup/2.jpg  prompts/cup/2.mask.png  prompts/cat.jpg

Parquet with pictures or paths, WebDataset tars, object storage:

    ipseg segment --images 's3://bucket/shards/*.tar' --prompts prompts/ --out s3://bucket/masks

Started again, the same command goes on where it was, and takes up new files:

    ipseg segment --images photos/ --prompts prompts/ --out masks/ --retry failed

Measure against ground truth (masks/cup/a/b.png for photos/a/b.jpg), with another number of points:

    ipseg segment --images photos/ --prompts prompts/ --masks masks/ --out run/ --set points.k=16

The default profile 'classical' needs no download. It finds the same object or a look-alike by
colour, texture and local features; it knows nothing of categories.
"""


def segment(
    images: Annotated[
        str, typer.Option(help="Folder, glob, Parquet or tar; a path or any fsspec URL.")
    ],
    out: Annotated[str, typer.Option(help="Run folder to write; a path or any fsspec URL.")],
    prompts: Annotated[
        str | None, typer.Option(help="Folder: DIR/<concept>.jpg or DIR/<concept>/*.jpg.")
    ] = None,
    prompt_bank: Annotated[
        str | None, typer.Option(help="prompt_bank.parquet of an earlier run, in place of prompts.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(help="Ground truth to compare with: DIR/<concept>/b.png for b.jpg."),
    ] = None,
    profile: Profile = "classical",
    method: Annotated[str | None, typer.Option(help="Replaces the profile's method.")] = None,
    settings: Settings = None,
    engine: Annotated[
        str, typer.Option(help="ray, or local for this process alone (same rows).")
    ] = "ray",
    key_column: Annotated[str | None, typer.Option(help="Parquet: column with unique ids.")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Parquet: column with pictures, or with their paths.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over, instead of going on with what is there."),
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(metavar="failed[:TYPE,...]", help="Do failed rows again, all or by type."),
    ] = None,
    max_failure_rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Stop (exit code 3) when more rows fail; default 0.05, from 100 failed rows on.",
        ),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Size the pools by the cost of the first images.")
    ] = False,
    json: Json = False,
) -> None:
    """Find the prompts' concepts in a collection and write masks to Parquet shards."""
    from ipseg.config import load_config
    from jobs.segment import print_run
    from pipeline.runfolder.ledger import Retry
    from pipeline.segment import Request, segment
    from pipeline.sources.shard import Columns
    from pipeline.stages.record import FailureBudget

    if (prompts is None) == (prompt_bank is None):
        raise ConfigError("give either --prompts or --prompt-bank")
    if engine not in ("ray", "local"):
        raise ConfigError(f"unknown engine '{engine}'; use ray or local")
    request = Request(
        images=images,
        out=out,
        config=load_config(profile, settings or (), method),
        prompts=prompts,
        prompt_bank=prompt_bank,
        masks=masks,
        columns=Columns(key_column, image_column),
        engine="local" if engine == "local" else "ray",
        overwrite=overwrite,
        retry=None if retry is None else Retry.parse(retry),
        budget=FailureBudget.of(max_failure_rate),
        calibrated=calibrate,
    )
    run = segment(request)
    print_run(run, as_json=json)
    if not run.counts["ok"] and not run.counts["empty"]:
        raise IpsegError(f"every row failed; see `ipseg errors {run.out}`")
