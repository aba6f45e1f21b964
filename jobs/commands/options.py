"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a shipped profile, or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one setting, e.g. points.k=16."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
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
Support = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="How the object of a prompt is found: mask, saliency, box, point or none (the whole "
        "image); the same as --set support.kind=KIND.",
    ),
]
MethodName = Annotated[str | None, typer.Option("--method", help="Replaces the profile's method.")]
