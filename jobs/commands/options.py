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
    from pipeline.segment import Request

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

# Of commands that segment a collection, or plan to.
Images = Annotated[
    str,
    typer.Option(
        help="Folder, glob, Parquet, tar, or a list of images (.csv, .jsonl, .txt); a path or any "
        "fsspec URL."
    ),
]
PROMPTS_HELP = "Folder (DIR/<concept>.jpg or DIR/<concept>/*.jpg), one image, or a glob."
Prompts = Annotated[list[str] | None, typer.Option(help=PROMPTS_HELP)]
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
DetectorNames = Annotated[
    list[str] | None,
    typer.Option(
        "--names",
        metavar="CONCEPT=TEXT",
        help="What a detector is asked for, if not for the concept's name; may be repeated.",
    ),
]
Retried = Annotated[
    str | None,
    typer.Option(
        "--retry", metavar="failed[:TYPE,...]", help="Do failed rows again, all or by type."
    ),
]
MaxFailureRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Stop (exit code 3) when more rows fail; default 0.05, from 100 failed rows on.",
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--instances",
        metavar="one|each",
        help="One object of a concept in an image, or each instance (the default, where the method "
        "can); the same as --set instances.mode=MODE.",
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

Carry = Annotated[
    str | None,
    typer.Option(
        metavar="A,B", help="Parquet and lists: columns that the output is to have as well."
    ),
]

PROMPT_EXAMPLES = """
One image for each concept, wherever it lies; a PNG that was cut out is its own mask:

    ipseg {verb} ... --prompts cow.jpg

    ipseg {verb} ... --prompt cup=photos/7.jpg --prompt cat=cats/*.png

Say where the object of a prompt is: by a mask beside it, a box, or points on it:

    ipseg {verb} ... --prompts prompts/ --prompt-box cup=40,25,210,180

    ipseg {verb} ... --prompts prompts/ --prompt-point cat=150,110 --prompt-point cat=90,80

Without any of these saliency finds it. For all prompts alike, whatever lies beside them:

    ipseg {verb} ... --prompts prompts/ --support none
"""


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


def request_of(given: Mapping[str, Any], **more: Any) -> Request:  # noqa: ANN401
    """The request that the options of a command describe.

    Args:
        given: the options by their names, all of the above among them.
        more: other fields of `Request`.

    Raises:
        ConfigError: options that exclude each other, or a setting that is wrong.
    """
    from pipeline.segment import Request
    from pipeline.sources.parquet import Columns

    bank, boxes, points = (given[name] for name in ("prompt_bank", "prompt_box", "prompt_point"))
    prompts = given["prompts"] or [None]
    if len(prompts) > 1:
        raise ConfigError(
            "give --prompts once: a folder, a glob or one file; more files by --prompt NAME=FILE"
        )
    if (prompts == [None] and not given["prompt"]) == (bank is None):
        raise ConfigError(
            "give prompts: either --prompts or --prompt-bank, or images by --prompt NAME=FILE"
        )
    if bank is not None and (boxes or points):
        raise ConfigError(
            "--prompt-box and --prompt-point say where the object of a prompt image is; the "
            "prompts in a bank are described already"
        )
    return Request(
        images=given["images"],
        config=config_of(given),
        prompts=prompts[0],
        named=given["prompt"] or (),
        boxes=boxes or (),
        points=points or (),
        bank=bank,
        columns=Columns(given["key_column"], given["image_column"], _names(given["carry"])),
        **more,
    )


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


def _names(listed: str | None) -> tuple[str, ...]:
    names = (name.strip() for name in (listed or "").split(","))
    return tuple(dict.fromkeys(name for name in names if name))


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
