"""The command `ipseg` and its verbs. Data goes to stdout, logs and progress to stderr.

Exit codes: 0 done, 1 it could not be done, 2 the call itself was wrong, 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ipseg.errors import ConfigError, IpsegError

app = typer.Typer(
    name="ipseg",
    help="Give it one example picture, get masks of that thing in every image.",
    epilog="Start with: ipseg demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a shipped profile, or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one setting, e.g. points.k=16."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _verbosity(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
) -> None:
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("ipseg")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)


@app.command(
    epilog="""
[bold]Examples[/bold]

One concept, a folder of photos:

    ipseg segment --images photos/ --prompts prompts/ --out masks/

where prompts/cup.jpg shows a cup. Several concepts, several prompts each, one with its own mask:

    prompts/cup/1.jpg  prompts/cup/2.jpg  prompts/cup/2.mask.png  prompts/cat.jpg

Parquet with pictures or paths, WebDataset tars, object storage:

    ipseg segment --images 's3://bucket/shards/*.tar' --prompts prompts/ --out s3://bucket/masks

Measure against ground truth (masks/cup/<key>.png), with another number of points:

    ipseg segment --images photos/ --prompts prompts/ --masks masks/ --out run/ --set points.k=16

The default profile 'classical' needs no download. It finds the same object or a look-alike by
colour, texture and local features; it knows nothing of categories.
"""
)
def segment(
    images: Annotated[
        str, typer.Option(help="Folder, glob, Parquet or tar; a path or any fsspec URL.")
    ],
    out: Annotated[str, typer.Option(help="Run folder to write; a path or any fsspec URL.")],
    prompts: Annotated[
        str | None, typer.Option(help="Folder: DIR/<concept>.jpg or DIR/<concept>/*.jpg.")
    ] = None,
    prompt_bank: Annotated[
        str | None, typer.Option(help="prompt_bank.parquet of an earlier run, in place of prompts.")
    ] = None,
    masks: Annotated[
        str | None, typer.Option(help="Ground truth to compare with: DIR/<concept>/<key>.png.")
    ] = None,
    profile: Profile = "classical",
    method: Annotated[str | None, typer.Option(help="Replaces the profile's method.")] = None,
    settings: Settings = None,
    engine: Annotated[
        str, typer.Option(help="ray, or local for this process alone (same rows).")
    ] = "ray",
    key_column: Annotated[str | None, typer.Option(help="Parquet: column with unique ids.")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Parquet: column with pictures, or with their paths.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run.")] = False,
    json: Json = False,
) -> None:
    """Find the prompts' concepts in a collection and write masks to Parquet shards."""
    from ipseg.config import load_config
    from jobs.segment import print_run
    from pipeline.run import Request, segment
    from pipeline.source import Columns

    if (prompts is None) == (prompt_bank is None):
        raise ConfigError("give either --prompts or --prompt-bank")
    if engine not in ("ray", "local"):
        raise ConfigError(f"unknown engine '{engine}'; use ray or local")
    request = Request(
        images=images,
        out=out,
        config=load_config(profile, settings or (), method),
        prompts=prompts,
        prompt_bank=prompt_bank,
        masks=masks,
        columns=Columns(key_column, image_column),
        engine="local" if engine == "local" else "ray",
        overwrite=overwrite,
    )
    run = segment(request)
    print_run(run, as_json=json)
    if not run.counts["ok"] and not run.counts["empty"]:
        raise IpsegError(f"every row failed; see error_message in {run.out}/shard=*/*.parquet")


@app.command(
    epilog="""
[bold]Example[/bold]

    ipseg prompts prompts/ --out prompts.png

A green border is a good prompt; an orange one has a warning below it. If saliency caught the wrong
thing, crop the picture closer, choose another, or put NAME.mask.png beside it.
"""
)
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


@app.command(
    epilog="""
[bold]Example[/bold]

    ipseg show masks/ IMG_0042.jpg --out overlay.png --min-score 0.3
"""
)
def show(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    key: Annotated[str, typer.Argument(help="Key of the row, as in the column 'key'.")],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("overlay.png"),
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out objects below this score; by default those far from the best."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw one row: the picture with its masks and points."""
    from jobs.show import show_row

    show_row(run, key, out, min_score, as_json=json)


@app.command(
    epilog="""
[bold]Example[/bold]

    ipseg demo --out demo-out && open demo-out/run/report.html
"""
)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the collection and the run.")] = Path(
        "demo-out"
    ),
    images: Annotated[int, typer.Option(min=12, help="Pictures in the collection.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the collection.")] = 0,
    json: Json = False,
) -> None:
    """Make a collection from photos that ship with scikit-image, segment it, measure and report."""
    from jobs.demo.run import run_demo

    run_demo(out, images=images, seed=seed, as_json=json)


@app.command(epilog="[bold]Example[/bold]\n\n    ipseg report masks/")
def report(
    run: Annotated[str, typer.Argument(help="Run folder.")],
) -> None:
    """Write report.html for a finished run: prompts, overlays, best and worst, tables."""
    from jobs.report.write import write_report

    typer.echo(write_report(run))


weights_app = typer.Typer(
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
app.add_typer(weights_app, name="weights")

ProfileName = Annotated[str, typer.Argument(help="Name of a shipped profile, or a YAML file.")]


@weights_app.command("list")
def weights_list(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """List what a profile needs: id, revision, size, licence, and where it was found."""
    from ipseg.config import load_config
    from jobs.weights import list_weights

    list_weights(load_config(profile, settings or ()), as_json=json)


@weights_app.command("check")
def weights_check(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """Read the weights of a profile and print their sha256; exit code 1 if one cannot be used."""
    from ipseg.config import load_config
    from jobs.weights import check_weights

    check_weights(load_config(profile, settings or ()), as_json=json)


@weights_app.command("fetch")
def weights_fetch(profile: ProfileName, settings: Settings = None, json: Json = False) -> None:
    """Download what a profile needs from the Hugging Face hub."""
    from ipseg.config import load_config
    from jobs.weights import fetch_weights

    fetch_weights(load_config(profile, settings or ()), as_json=json)


@weights_app.command("tiny")
def weights_tiny(
    folder: Annotated[Path, typer.Argument(help="Folder to write, under 20 MB.")],
    json: Json = False,
) -> None:
    """Write tiny random weights of all the real classes, to try the code path offline."""
    from jobs.weights import print_tiny

    print_tiny(folder, as_json=json)


@app.command(
    epilog="""
[bold]Examples[/bold]

    ipseg bench --flops --profile ipseg-released

    ipseg bench --profile ipseg --set models.root=tiny/ --out bench.json
"""
)
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


@app.command()
def doctor(json: Json = False) -> None:
    """Say what is installed, which devices are there, and how much memory."""
    from jobs.doctor import print_doctor

    print_doctor(as_json=json)


def main() -> None:
    """Entry point: runs a verb; turns errors a person can mend into one line and an exit code."""
    try:
        app(standalone_mode=True)
    except IpsegError as error:
        typer.secho(f"ipseg: {error}", fg="red", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        typer.secho("ipseg: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
