"""Options that several commands have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ipseg.components import DEFAULT_PROFILE
from ipseg.errors import ConfigError

if TYPE_CHECKING:
    from ipseg.config import Config
    from pipeline.export.splits import Splits

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a shipped profile, or a YAML file.")
]
ProfileOfMethod = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        help="Name of a shipped profile, or a YAML file; without it that of the method's name, or "
        f"{DEFAULT_PROFILE}.",
    ),
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

PROMPTS_HELP = "Folder (DIR/<concept>.jpg or DIR/<concept>/*.jpg), one image, or a glob."
NamedPrompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="NAME=FILE",
        help="Image (or folder, or glob) of one concept, e.g. cup=photos/cup.jpg; may be repeated.",
    ),
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
Support = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="How the object of a prompt is found: mask, saliency, box, point or none (the whole "
        "image); the same as --set support.kind=KIND.",
    ),
]
MethodName = Annotated[str | None, typer.Option("--method", help="Replaces the profile's method.")]
RunFolder = Annotated[str, typer.Option(help="Run folder to write; a path or any fsspec URL.")]


def config_of(given: Mapping[str, Any]) -> Config:
    """The configuration that the options of a command describe.

    Args:
        given: the options by their names, `profile`, `method`, `settings` and `support` among them.

    Raises:
        ConfigError: an unknown profile, method, setting or kind of support, or a bad value.
    """
    from ipseg.config import load_config

    overrides, kind = list(given["settings"] or ()), given["support"]
    if kind is not None:
        overrides.append(f"support.kind={kind}")
    if named := given.get("names"):
        overrides.append(f"names={json.dumps(_pairs(named))}")
    if (mode := given.get("instances")) is not None:
        overrides.insert(0, f"instances.mode={mode}")
    return load_config(given["profile"] or None, overrides, given["method"], labelling=True)


Engine = Annotated[
    str,
    typer.Option(
        help="ray, local for this process alone, or auto for whichever is done sooner (same rows)."
    ),
]


def _pairs(listed: Sequence[str]) -> dict[str, str]:
    pairs = dict(each.split("=", 1) for each in listed if all(each.partition("=")))
    if len(pairs) < len(listed):
        raise ConfigError("--names is CONCEPT=TEXT, each concept once")
    return pairs


def checked_engine(name: str) -> str:
    """The name of an engine, if there is one of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ("auto", "ray", "local"):
        raise ConfigError(f"unknown engine '{name}'; use auto, ray or local")
    return name


Split = Annotated[
    str | None,
    typer.Option(metavar="NAME=SHARE,...", help="Sides, e.g. train=0.8,val=0.2."),
]
SplitBy = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="Keep images together: key (each by itself), folder, or a column of the run.",
    ),
]
SplitColumn = Annotated[
    str | None, typer.Option(help="Column of the run that names the side of each image.")
]
Salt = Annotated[str, typer.Option(help="Another text draws the sides anew.")]


def splits_of(split: str | None, by: str, column: str | None, salt: str) -> Splits:
    """The sides that the options above name.

    Raises:
        ConfigError: they exclude each other, or are no split.
    """
    from pipeline.export.splits import DEFAULT_SALT, KEY, Splits

    if split is not None and column is not None:
        raise ConfigError("--split and --split-column exclude each other")
    drawn = {"--split-by": by != KEY, "--salt": salt != DEFAULT_SALT}
    for flag in (flag for flag, given in drawn.items() if given and split is None):
        raise ConfigError(f"{flag} is about how sides are drawn; give --split as well")
    return Splits.parse(split, salt=salt, by=by, column=column)
