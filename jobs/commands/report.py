"""`ipseg report`: a finished run as a page."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = "[bold]Example[/bold]\n\n    ipseg report masks/"


def report(
    run: Annotated[str, typer.Argument(help="Run folder.")],
) -> None:
    """Write report.html for a finished run: prompts, overlays, best and worst, tables."""
    from jobs.report.write import write_report

    typer.echo(write_report(run))
