"""`ipseg weights`: where the models' weights are, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json, Settings
from jobs.verbosity import with_verbosity

app = typer.Typer(
    help="What a profile's models need, where it is, how to get it; tiny stand-ins.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="""
[bold]Examples[/bold]

    ipseg weights list ipseg

    ipseg weights fetch ipseg-light

    ipseg weights tiny tiny/ && ipseg segment ... --profile ipseg --set models.root=tiny/
""",
)

ProfileName = Annotated[str, typer.Argument(help="Name of a shipped profile, or a YAML file.")]


@app.command("list")
@with_verbosity
def weights_list(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """List what a profile needs: id, revision, size, licence, and where it was found."""
    from ipseg.config import load_config
    from jobs.weights import list_weights

    list_weights(load_config(profile, settings or ()), as_json=json)


@app.command("check")
@with_verbosity
def weights_check(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """Read the weights of a profile and print their sha256; exit code 1 if one cannot be used."""
    from ipseg.config import load_config
    from jobs.weights import check_weights

    check_weights(load_config(profile, settings or ()), as_json=json)


@app.command("fetch")
@with_verbosity
def weights_fetch(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """Download what a profile needs from the Hugging Face hub."""
    from ipseg.config import load_config
    from jobs.weights import fetch_weights

    fetch_weights(load_config(profile, settings or ()), as_json=json)


@app.command("tiny")
@with_verbosity
def weights_tiny(
    folder: Annotated[Path, typer.Argument(help="Folder to write, under 20 MB.")],
    json: Json = False,
) -> None:
    """Write tiny random weights of all the real classes, to try the code path offline."""
    from jobs.weights import print_tiny

    print_tiny(folder, as_json=json)
