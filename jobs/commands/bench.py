"""`ipseg bench`: what things cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json, Profile, Settings

EPILOG = """
[bold]Examples[/bold]

    ipseg bench --flops --profile ipseg-released

    ipseg bench --profile ipseg --set models.root=tiny/ --out bench.json
"""


def bench(
    profile: Profile = "ipseg",
    settings: Settings = None,
    flops: Annotated[
        bool, typer.Option("--flops", help="Only count operations at real sizes; runs nothing.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well.")] = None,
    json: Json = False,
) -> None:
    """Measure cost: FLOPs by part, seconds by part, and against the number of concepts."""
    from ipseg.config import load_config
    from jobs.bench.run import run_bench

    run_bench(load_config(profile, settings or ()), flops_only=flops, as_json=json, out=out)
