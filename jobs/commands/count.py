"""`ipseg count`: how many of each concept are in each image."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from ipseg.errors import ConfigError, IpsegError
from jobs.commands import options
from jobs.commands.options import Json, Settings

log = logging.getLogger("ipseg")

DEFAULT = "persense-classical"

EPILOG = f"""
[bold]Examples[/bold]

How many coins are in each photo, from one coin that was cut out:

    ipseg count --images photos/ --prompts coin.png --out counts/

The numbers are in counts/counts.csv and counts/counts.parquet, a line for each image and concept;
counts/density/ has a map for each of them, counts/data the masks. All of `ipseg show`, `report`,
`review` and `export` works on the same folder.
{options.PROMPT_EXAMPLES.format(verb="count")}
With learned weights; the detector is asked for "egg", whatever the file is called:

    ipseg count --images photos/ --prompts oeuf.jpg --names oeuf=egg --out eggs/ --profile persense

Started again, the same command goes on where it was.

The default profile '{DEFAULT}' needs no download. It counts copies of the same object, or
look-alikes, at 0.6 to 1.5 times the size of one of them.

Exit codes: 0; 1 if every image failed; 2 if the call is wrong; 3 if more failed than may.
"""


def count(
    images: options.Images,
    out: Annotated[str, typer.Option(help="Run folder to write; a path or any fsspec URL.")],
    prompts: options.Prompts = None,
    prompt: options.NamedPrompts = None,
    prompt_box: options.PromptBoxes = None,
    prompt_point: options.PromptPoints = None,
    prompt_bank: options.PromptBank = None,
    support: options.Support = None,
    names: options.DetectorNames = None,
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Write density maps as images.")
    ] = True,
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="A shipped profile that counts, or a YAML file.")
    ] = DEFAULT,
    settings: Settings = None,
    engine: options.Engine = "auto",
    key_column: options.KeyColumn = None,
    image_column: options.ImageColumn = None,
    carry: options.Carry = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over, instead of going on with what is there."),
    ] = False,
    retry: options.Retried = None,
    max_failure_rate: options.MaxFailureRate = None,
    json: Json = False,
) -> None:
    """Count the prompts' concepts in a collection: CSV and Parquet, with density maps."""
    given, engine = {**locals(), "method": None}, options.checked_engine(engine)
    given["settings"] = [*(settings or ()), f"persense.density={str(maps).lower()}"]
    from ipseg.config import load_config

    if not hasattr(load_config(profile, settings or ()).method, "counter"):
        raise ConfigError(f"profile '{profile}' does not count; '{DEFAULT}' and 'persense' do")
    log.info("counting in %s into %s, profile %s", images, out, profile)
    from jobs.count import print_counts
    from pipeline.counts import write_counts
    from pipeline.runfolder.finished import Retry
    from pipeline.segment import segment
    from pipeline.stages.record import FailureBudget

    request = options.request_of(
        given,
        out=out,
        engine=engine,
        overwrite=overwrite,
        retry=None if retry is None else Retry.parse(retry),
        budget=FailureBudget.of(max_failure_rate),
    )
    run = segment(request)
    found = write_counts(run.out, list(run.metrics["suggested"]), maps=maps)
    print_counts(run, found, as_json=json)
    if not run.counts["ok"] and not run.counts["empty"]:
        raise IpsegError(f"every row failed; see `ipseg errors {run.out}`")
