"""`ipseg show`: look at rows, one or many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ipseg.errors import ConfigError
from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

    ipseg show masks/ IMG_0042.jpg --out overlay.png --min-score 0.3

Several on one sheet, named or drawn by lot; the run may still be going on:

    ipseg show masks/ IMG_0042.jpg deep/IMG_0043.jpg

    ipseg show masks/ --keys IMG_0042.jpg,deep/IMG_0043.jpg

    ipseg show masks/ --sample 24

One frame of a sequence, whose key is its folder:

    ipseg show masks/ videos/run --frame 24
"""


def show(
    run: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    key: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Keys of rows, as in the column 'key'."),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(metavar="KEY,KEY,...", help="More keys, none with a comma in it.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows drawn by lot, on one sheet.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --sample: another one, other rows.")] = 0,
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
    """Draw rows: their images with the masks and points of all objects."""
    named = [*(key or ()), *(each for each in (keys or "").split(",") if each)]
    if not named and sample is None:
        raise ConfigError("which rows? Give keys, or --sample 24 for some drawn by lot")
    from jobs.show import Drawing, show_rows

    drawing = Drawing(frame, min_score)
    show_rows(run, named, out, drawing, sample=sample, seed=seed, as_json=json)
