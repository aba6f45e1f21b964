"""`ipseg count`: how many of each concept are in each image."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from ipseg.errors import ConfigError, IpsegError
from jobs.commands.collection import PROMPT_EXAMPLES, Collection, Running
from jobs.commands.grouped import grouped
from jobs.commands.options import Json, RunFolder

log = logging.getLogger("ipseg")

DEFAULT = "persense-classical"
_DENSITY = "persense.density"

EPILOG = f"""
[bold]Examples[/bold]

How many coins are in each photo, from one coin that was cut out:

    ipseg count --images photos/ --prompts coin.png --out counts/

The numbers are in counts/counts.csv and counts/counts.parquet, a line for each image and concept;
counts/density/ has a map for each of them, counts/data the masks. All of `ipseg show`, `report`,
`review` and `export` works on the same folder.
{PROMPT_EXAMPLES.format(verb="count")}
With learned weights; the detector is asked for "egg", whatever the file is called:

    ipseg count --images photos/ --prompts oeuf.jpg --names oeuf=egg --out eggs/ --profile persense

Started again, the same command goes on where it was.

The default profile '{DEFAULT}' needs no download. It counts copies of the same object, at
0.6 to 1.5 times the size of one of them; an image where nothing is alike enough counts none.

Exit codes: 0; 1 if images or prompts are missing or cannot be used, or every image failed; 2 if an
option or a setting is wrong; 3 if more failed than may.
"""


@dataclass(frozen=True, kw_only=True)
class Counting(Collection):
    """With a profile that counts."""

    profile: Annotated[
        str, typer.Option("--profile", "-p", help="A shipped profile that counts, or a YAML file.")
    ] = DEFAULT


@grouped
def count(
    out: RunFolder,
    collection: Counting,
    running: Running,
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Write density maps as images.")
    ] = True,
    json: Json = False,
) -> None:
    """Count the prompts' concepts in a collection: CSV and Parquet, with density maps."""
    start = running.start()
    from ipseg.config import load_config

    given = (collection.profile, collection.settings or (), collection.method)
    if not hasattr(load_config(*given).method, "counter"):
        raise ConfigError(
            f"profile '{collection.profile}' does not count; '{DEFAULT}' and 'persense' do"
        )
    if any(each.partition("=")[0].strip() == _DENSITY for each in collection.settings or ()):
        raise ConfigError(f"{_DENSITY} is set by --maps and --no-maps here")
    log.info("counting in %s into %s, profile %s", collection.images, out, collection.profile)
    from jobs.count import print_counts
    from pipeline.counts import keeps_maps, write_counts
    from pipeline.segment import segment

    kept = maps if running.overwrite else keeps_maps(out, wanted=maps)
    settings = [*(collection.settings or ()), f"{_DENSITY}={str(kept).lower()}"]
    run = segment(replace(collection, settings=settings).request(out=out, **start))
    found = write_counts(run.out, list(run.metrics["suggested"]), maps=maps)
    print_counts(run, found, as_json=json)
    if not run.counts["ok"] and not run.counts["empty"]:
        raise IpsegError(f"every row failed; see `ipseg errors {run.out}`")
