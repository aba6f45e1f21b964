"""`ipseg rescore`: other settings of scores for a finished run."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Json
from jobs.output import print_json

EPILOG = """
[bold]Examples[/bold]

Scores that weigh the evidence of presence fully, and no objects below 0.3:

    ipseg rescore masks/ --set scoring.presence=1 --set scoring.min_score=0.3

No image is read and no model is run; average precision and what is convincing are measured anew.
Objects that were not written before cannot come back: a lower scoring.min_score needs a new run. So
does a higher one where there is ground truth. The settings are those of the run from then on: the
command that goes on with it needs the same --set. `ipseg settings` lists what there is to set.
"""


def rescore(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="scoring.KEY=VALUE", help="Replace one setting of scores."),
    ],
    json: Json = False,
) -> None:
    """Score the objects of a finished run again, without its images."""
    from pipeline.rescore import rescore

    counts = rescore(out, settings)
    if json:
        print_json({"out": out, "rows": dict(counts)})
    else:
        listed = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        typer.echo(f"{sum(counts.values()):,} images scored again: {listed}")
        typer.echo("going on with the run needs the same --set; `ipseg report` has the numbers")
