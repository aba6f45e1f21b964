"""`ipseg report`: a run as a page."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = """
[bold]Examples[/bold]

    ipseg report masks/

    ipseg report s3://bucket/masks

What a second run over the same images has changed, and whether it agrees with what people decided
about the first (`ipseg review`):

    ipseg report masks-2/ --since masks/

One file, report.html in the run folder, that needs nothing else. A run that is
still going on is reported as far as it is written; `ipseg evaluate` writes the
report of an evaluation by itself.
"""


def report(
    run: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    since: Annotated[
        str | None,
        typer.Option(help="Run folder of an earlier round over the same images, to compare with."),
    ] = None,
) -> None:
    """Write report.html for a run, finished or not: prompts, overlays, best and worst, tables."""
    from jobs.report.write import write_report

    typer.echo(write_report(run, since))
