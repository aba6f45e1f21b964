"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ipseg.errors import ConfigError

if TYPE_CHECKING:
    from ipseg.config import Config
    from pipeline.segment import Request

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a shipped profile, or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one setting, e.g. points.k=16."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse records of annotations that cannot be used, instead of leaving them out.",
    ),
]

# Of commands that segment a collection, or plan to.
Images = Annotated[
    str,
    typer.Option(
        help="Folder, glob, Parquet, tar, or a list of images (.csv, .jsonl, .txt); a path or any "
        "fsspec URL."
    ),
]
Prompts = Annotated[
    str | None, typer.Option(help="Folder: DIR/<concept>.jpg or DIR/<concept>/*.jpg.")
]
PromptBoxes = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt-box",
        metavar="NAME=x0,y0,x1,y1",
        help="Box around the object of a prompt, in pixels; NAME is its concept or file.",
    ),
]
PromptPoints = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt-point",
        metavar="NAME=x,y",
        help="Point on the object of a prompt, in pixels; may be repeated.",
    ),
]
PromptBank = Annotated[
    str | None,
    typer.Option(help="Run folder of an earlier run, or its bank/, in place of prompts."),
]
Support = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="How the object of a prompt is found: mask, saliency, box, point or none (the whole "
        "image); the same as --set support.kind=KIND.",
    ),
]
MethodName = Annotated[str | None, typer.Option("--method", help="Replaces the profile's method.")]
KeyColumn = Annotated[
    str | None,
    typer.Option(help="Parquet and lists: column with unique ids, or a field in it: image.path."),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        help="Parquet and lists: column with images, or with their paths. Tars: extension of the "
        "images."
    ),
]

PROMPT_EXAMPLES = """
Say where the object of a prompt is: by a mask beside it, a box, or points on it:

    ipseg {verb} ... --prompts prompts/ --prompt-box cup=40,25,210,180

    ipseg {verb} ... --prompts prompts/ --prompt-point cat=150,110 --prompt-point cat=90,80

Without any of these saliency finds it. For all prompts alike, whatever lies beside them:

    ipseg {verb} ... --prompts prompts/ --support none
"""


def config_of(
    profile: str, method: str | None, settings: Sequence[str] | None, support: str | None
) -> Config:
    """The configuration that these options describe.

    Raises:
        ConfigError: an unknown profile, method, setting or kind of support, or a bad value.
    """
    from ipseg.config import load_config

    overrides = [*(settings or ()), *([] if support is None else [f"support.kind={support}"])]
    return load_config(profile, overrides, method)


def request_of(
    *,
    prompts: str | None,
    prompt_box: Sequence[str] | None,
    prompt_point: Sequence[str] | None,
    prompt_bank: str | None,
    support: str | None,
    profile: str,
    method: str | None,
    settings: Sequence[str] | None,
    key_column: str | None,
    image_column: str | None,
    **more: Any,  # noqa: ANN401  (fields of `Request`)
) -> Request:
    """The request that the options above describe.

    Raises:
        ConfigError: options that exclude each other, or a setting that is wrong.
    """
    from pipeline.segment import Request
    from pipeline.sources.parquet import Columns

    if (prompts is None) == (prompt_bank is None):
        raise ConfigError("give either --prompts or --prompt-bank")
    if prompt_bank is not None and (prompt_box or prompt_point):
        raise ConfigError(
            "--prompt-box and --prompt-point say where the object of a prompt image is; the "
            "prompts in a bank are described already"
        )
    return Request(
        config=config_of(profile, method, settings, support),
        prompts=prompts,
        boxes=prompt_box or (),
        points=prompt_point or (),
        bank=prompt_bank,
        columns=Columns(key_column, image_column),
        **more,
    )
