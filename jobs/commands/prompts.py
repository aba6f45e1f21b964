"""`ipseg prompts`: see what is taken for the object of each prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ipseg.errors import ConfigError
from jobs.commands import options
from jobs.commands.options import Json, ProfileOfMethod, Settings

EPILOG = """
[bold]Examples[/bold]

    ipseg prompts prompts/ --out prompts.png

    ipseg prompts cow.jpg

    ipseg prompts prompts/ --prompt cup=photos/7.jpg --prompt-point cup=120,90

    ipseg prompts prompts/ --prompt-box cat/1.jpg=40,25,210,180 --profile ipseg-light

A green border is a good prompt; an orange one has a warning below it. If saliency caught the wrong
thing, crop the image closer, choose another, or say where the object is: NAME.mask.png,
NAME.box.json ([x0, y0, x1, y1]) or NAME.point.json ([x, y]) beside NAME.jpg. A box needs a profile
with a segmenter of the SAM family.

Exit code 1 if a prompt cannot be used; the image says which, and why.
"""


def prompts(
    prompts: Annotated[str | None, typer.Argument(help=options.PROMPTS_HELP)] = None,
    prompt: options.NamedPrompts = None,
    out: Annotated[Path, typer.Option(help="Image to write.")] = Path("prompts.png"),
    prompt_box: options.PromptBoxes = None,
    prompt_point: options.PromptPoints = None,
    support: options.Support = None,
    profile: ProfileOfMethod = "",
    method: options.MethodName = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Draw the object that is found in each prompt: a bad prompt is the first thing to fix."""
    config = options.config_of(locals())
    from ipseg.prompts import gather_prompts
    from jobs.prompts import draw_prompts

    if prompts is None and not prompt:
        raise ConfigError("give a folder of prompts or one image, or --prompt NAME=FILE")
    rows = gather_prompts(prompts, prompt or (), prompt_box or (), prompt_point or ())
    draw_prompts(rows, out, config, as_json=json)
