"""Options of the commands that segment a collection, or plan to: `segment`, `count`, `plan`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ipseg.errors import ConfigError
from jobs.commands import options

if TYPE_CHECKING:
    from pipeline.segment import Request

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


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Which images, by which prompts, with which settings."""

    images: Annotated[
        str,
        typer.Option(
            help="Folder, glob, Parquet, tar, or a list of images (.csv, .jsonl, .txt); a path or "
            "any fsspec URL."
        ),
    ]
    prompts: Annotated[list[str] | None, typer.Option(help=options.PROMPTS_HELP)] = None
    prompt: options.NamedPrompts = None
    prompt_box: options.PromptBoxes = None
    prompt_point: options.PromptPoints = None
    prompt_bank: Annotated[
        str | None,
        typer.Option(help="Run folder of an earlier run, or its bank/, in place of prompts."),
    ] = None
    support: options.Support = None
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--names",
            metavar="CONCEPT=TEXT",
            help="What a detector is asked for, if not for the concept's name; may be repeated.",
        ),
    ] = None
    profile: options.ProfileOfMethod = ""
    method: options.MethodName = None
    settings: options.Settings = None
    key_column: Annotated[
        str | None,
        typer.Option(
            help="Parquet and lists: column with unique ids, or a field in it: image.path."
        ),
    ] = None
    image_column: Annotated[
        str | None,
        typer.Option(
            help="Parquet and lists: column with images, or with their paths. Tars: extension of "
            "the images."
        ),
    ] = None
    carry: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Parquet and lists: columns that the output is to have as well."
        ),
    ] = None

    @property
    def starts_from(self) -> str:
        """Name or file of the profile."""
        from ipseg.config import profile_of

        return self.profile or profile_of(self.method)

    def request(self, **more: Any) -> Request:  # noqa: ANN401
        """The request that they describe.

        Args:
            more: other fields of `Request`.

        Raises:
            ConfigError: options that exclude each other, or a setting that is wrong.
        """
        from pipeline.segment import Request
        from pipeline.sources.parquet import Columns

        if self.prompts is not None and len(self.prompts) > 1:
            raise ConfigError(
                "give --prompts once: a folder, a glob or one file; more files by --prompt "
                "NAME=FILE"
            )
        if bool(self.prompts or self.prompt) == (self.prompt_bank is not None):
            raise ConfigError(
                "give prompts: either --prompts or --prompt-bank, or images by --prompt NAME=FILE"
            )
        if self.prompt_bank is not None and (self.prompt_box or self.prompt_point):
            raise ConfigError(
                "--prompt-box and --prompt-point say where the object of a prompt image is; the "
                "prompts in a bank are described already"
            )
        names = (name.strip() for name in (self.carry or "").split(","))
        carried = tuple(dict.fromkeys(name for name in names if name))
        return Request(
            images=self.images,
            config=options.config_of(asdict(self)),
            prompts=self.prompts[0] if self.prompts else None,
            named=self.prompt or (),
            boxes=self.prompt_box or (),
            points=self.prompt_point or (),
            bank=self.prompt_bank,
            columns=Columns(self.key_column, self.image_column, carried),
            **more,
        )


@dataclass(frozen=True, kw_only=True)
class Segmenting(Collection):
    """With what only methods for any number of objects have."""

    instances: Annotated[
        str | None,
        typer.Option(
            "--instances",
            metavar="one|each",
            help="One object of a concept in an image, or each instance (the default, where the "
            "method can); the same as --set instances.mode=MODE.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a run is started."""

    engine: options.Engine = "auto"
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over, instead of going on with what is there."),
    ] = False
    retry: Annotated[
        str | None,
        typer.Option(
            "--retry", metavar="failed[:TYPE,...]", help="Do failed rows again, all or by type."
        ),
    ] = None
    max_failure_rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Stop (exit code 3) when more rows fail; default 0.05, from 100 failed rows on.",
        ),
    ] = None

    def start(self) -> dict[str, Any]:
        """Fields of `Request`.

        Raises:
            ConfigError: there is no such engine, or nothing to be done again by this name.
        """
        from pipeline.runfolder.finished import Retry
        from pipeline.stages.record import FailureBudget

        return {
            "engine": options.checked_engine(self.engine),
            "overwrite": self.overwrite,
            "retry": None if self.retry is None else Retry.parse(self.retry),
            "budget": FailureBudget.of(self.max_failure_rate),
        }
