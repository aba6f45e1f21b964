"""`ipseg report`: a finished run as a page."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = """
[bold]Examples[/bold]

    ipseg report masks/

    ipseg report s3://bucket/masks

One file, report.html in the run folder, that needs nothing else. `ipseg evaluate` writes its own.
"""


def report(
    run: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
) -> None:
    """Write report.html for a finished run: prompts, overlays, best and worst, tables."""
    from jobs.report.write import write_report

    typer.echo(write_report(run))
