"""`ipseg demo`: a complete run on generated images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ipseg.errors import ConfigError
from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

    ipseg demo --out demo-out && open demo-out/run/report.html

Train a small SINE on generated scenes for a few minutes (on a ViT with random weights), and segment
unseen ones by its three tasks:

    ipseg demo --method sine --out demo-sine-out && open demo-sine-out/report.html
"""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the collection and the run.")] = Path(
        "demo-out"
    ),
    images: Annotated[int, typer.Option(min=12, help="Images in the collection.")] = 60,
    method: Annotated[
        str,
        typer.Option(help="classical, or sine: trained first, on a ViT with random weights."),
    ] = "classical",
    steps: Annotated[int, typer.Option(min=1, help="Of the training, for sine.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the collection.")] = 0,
    json: Json = False,
) -> None:
    """Make a collection from photos that ship with scikit-image, segment it, measure and report."""
    if method not in ("classical", "sine"):
        raise ConfigError(f"no demo of method '{method}'; use classical or sine")
    if method == "sine":
        from jobs.demo.train_sine import run_sine_demo

        run_sine_demo(out, questions=images, steps=steps, seed=seed, as_json=json)
        return
    from jobs.demo.run import run_demo

    run_demo(out, images=images, seed=seed, as_json=json)
