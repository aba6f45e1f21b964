"""`ipseg show`: look at one row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json

EPILOG = """
[bold]Example[/bold]

    ipseg show masks/ IMG_0042.jpg --out overlay.png --min-score 0.3
"""


def show(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    key: Annotated[str, typer.Argument(help="Key of the row, as in the column 'key'.")],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("overlay.png"),
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out objects below this score; by default those far from the best."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw one row: the picture with its masks and points."""
    from jobs.show import show_row

    show_row(run, key, out, min_score, as_json=json)
