"""`ipseg show`: look at one row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

    ipseg show masks/ IMG_0042.jpg --out overlay.png --min-score 0.3

One frame of a sequence, whose key is its folder:

    ipseg show masks/ videos/run --frame 24
"""


def show(
    run: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    key: Annotated[str, typer.Argument(help="Key of the row, as in the column 'key'.")],
    out: Annotated[Path, typer.Option(help="Image to write.")] = Path("overlay.png"),
    frame: Annotated[int, typer.Option(min=0, help="Frame of a sequence, from 0.")] = 0,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out objects below this score; by default concepts far from the best."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw one row: the image with the masks and points of all its objects."""
    from jobs.show import show_row

    show_row(run, key, out, frame=frame, min_score=min_score, as_json=json)
