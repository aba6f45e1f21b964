"""`ipseg prompts`: look at the prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json, Profile, Settings

EPILOG = """
[bold]Example[/bold]

    ipseg prompts prompts/ --out prompts.png

A green border is a good prompt; an orange one has a warning below it. If saliency caught the wrong
thing, crop the picture closer, choose another, or put NAME.mask.png beside it.
"""


def prompts(
    folder: Annotated[
        str, typer.Argument(help="Folder: DIR/<concept>.jpg or DIR/<concept>/*.jpg.")
    ],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("prompts.png"),
    profile: Profile = "classical",
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Show what saliency makes of each prompt: a bad prompt is the first thing to mend."""
    from ipseg.config import load_config
    from jobs.prompts import show_prompts

    show_prompts(folder, out, load_config(profile, settings or ()), as_json=json)
