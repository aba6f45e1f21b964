"""`ipseg demo`: a complete run on generated images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json

EPILOG = """
[bold]Example[/bold]

    ipseg demo --out demo-out && open demo-out/run/report.html
"""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the collection and the run.")] = Path(
        "demo-out"
    ),
    images: Annotated[int, typer.Option(min=12, help="Images in the collection.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the collection.")] = 0,
    json: Json = False,
) -> None:
    """Make a collection from photos that ship with scikit-image, segment it, measure and report."""
    from jobs.demo.run import run_demo

    run_demo(out, images=images, seed=seed, as_json=json)
