"""`ipseg data`: benchmarks, their layouts, and what is built or generated to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Json, Strict
from jobs.output import print_json
from jobs.verbosity import with_verbosity

app = typer.Typer(
    help="Benchmarks: their layouts and rules, and what has to be built for some of them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="""
[bold]Examples[/bold]

    ipseg data list

    ipseg data prepare coco-20i --data-root datasets/

    ipseg data prepare lvis-92i --data-root /read/only/ --out datasets/lvis/

Crowds to count in, and a photo of coins, with every instance in the ground truth:

    ipseg data generate --out crowds/

    ipseg evaluate crowds --data-root crowds/generated --profile persense-classical --out run/
""",
)


@app.command("list")
@with_verbosity
def data_list(json: Json = False) -> None:
    """List the benchmarks: layout on disk, folds, rules for prompts, how they are measured."""
    from jobs.data import list_benchmarks

    list_benchmarks(as_json=json)


@app.command("prepare")
@with_verbosity
def data_prepare(
    benchmark: Annotated[
        str, typer.Argument(help="One of coco-20i, lvis-92i, paco-part, pascal-part.")
    ],
    data_root: Annotated[str, typer.Option(help="Where the official files are; a path or URL.")],
    out: Annotated[
        str | None,
        typer.Option(help="Write here instead; this folder then is the data root to evaluate."),
    ] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Build what a benchmark's loader reads from the official annotation files.

    An interrupted call, started again, goes on where it was or starts over; nothing is ever left
    half written.
    """
    from jobs.data import prepare_benchmark

    prepare_benchmark(benchmark, data_root, out, strict=strict, as_json=json)


@app.command("generate")
@with_verbosity
def data_generate(
    out: Annotated[
        Path, typer.Option(help="Folder to write to: generated/ and coins/, each a data root.")
    ],
    turned: Annotated[
        bool,
        typer.Option("--turned", help="Turn and mirror each copy: turned/ in place of generated/."),
    ] = False,
    images: Annotated[int, typer.Option(min=1, help="Generated images.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the same gives the same.")] = 0,
    json: Json = False,
) -> None:
    """Make crowds of copies, and a photo of 24 coins, for the benchmark `crowds`."""
    from jobs.demo.crowds import write_crowds

    roots = [str(root) for root in write_crowds(out, images, seed=seed, turned=turned)]
    if json:
        print_json({"written": roots})
        return
    for root in roots:
        typer.echo(f"written: {root}; measure on it: ipseg evaluate crowds --data-root {root}")
