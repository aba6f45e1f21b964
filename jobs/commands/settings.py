"""`ipseg settings`: every key that can be set."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands import options
from jobs.commands.options import Json, ProfileOfMethod, Settings

EPILOG = """
[bold]Examples[/bold]

    ipseg settings

    ipseg settings --profile ipseg-light

Only what has to do with points, or with scores:

    ipseg settings points

    ipseg settings score

With another part, which has settings of its own:

    ipseg settings segmenter --profile ipseg --set segmenter.kind=hf_sam

Set any of them with --set KEY=VALUE, or in a profile of your own, a YAML file.
STAGE in a key is a stage as `ipseg plan` lists them, KIND a part.
"""


def settings(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Only keys that have these in name or meaning."),
    ] = None,
    profile: ProfileOfMethod = "",
    method: options.MethodName = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """List every setting of a profile: key, default, type, range and meaning."""
    from ipseg.config import load_config
    from jobs.settings import print_settings

    config = load_config(profile or None, settings or (), method)
    print_settings(config, words or (), as_json=json)
