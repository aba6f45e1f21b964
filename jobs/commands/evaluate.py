"""`ipseg evaluate`: a benchmark to its number, its table and its report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ipseg.components import BENCHMARKS, DEFAULT_PROFILE, INSTANCE_BENCHMARKS
from ipseg.errors import ConfigError
from jobs.commands.options import Engine, Json, Settings, Strict, checked_engine

PARTIAL = 3  # exit code

EPILOG = """
[bold]Examples[/bold]

Your own images and masks, images/<class>/NAME.jpg and masks/<class>/NAME.png:

    ipseg evaluate folder --data-root data/ --out run/

One fold of COCO-20i with five examples for each question:

    ipseg evaluate coco-20i --data-root datasets/ --profile ipseg --shot 5 --fold 0 --out run/

Settings side by side; features and embeddings are computed once, whatever they share:

    ipseg evaluate folder --data-root data/ --out run/ --sweep points.k=8,32 points.clusters=2,4

Methods or profiles side by side, with the differences and their intervals:

    ipseg evaluate perseg --data-root data/ --profile ipseg-light,persam,persam-f --out run/

    ipseg evaluate perseg --data-root data/ --method persam,matcher,insid3 --out run/

Every example given by a box, which the segmenter turns into a mask:

    ipseg evaluate perseg --data-root data/ --profile ipseg --support box --out run/

Instances, by COCO's average precision, over ten sets of references:

    ipseg evaluate coco-novel --data-root datasets/ --profile sine-instances --out run/

How many of many instances are found, and how far off their count is:

    ipseg evaluate crowds --data-root crowds/ --profile persense-classical --out run/

Methods with the mask of an example and without it, as Matcher and Matcher-Z in the paper:

    ipseg evaluate perseg --data-root data/ --support mask,saliency --profile persam,ipseg --out r/

A table of the paper, its other rows as published:

    ipseg evaluate perseg --data-root data/ --profile ipseg --paper-table 4 --out run/

Five per cent of the images could not be read, and are repaired now:

    ipseg evaluate folder --data-root data/ --out run/ --retry failed

The same command started again goes on where it was. Exit code 3: some episodes could not be
measured; the number is printed with what it covers.
"""


def evaluate(
    benchmark: Annotated[
        str, typer.Argument(help=f"One of {', '.join([*BENCHMARKS, *INSTANCE_BENCHMARKS])}.")
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=V1,V2...]", help="More of --sweep.")
    ] = None,
    data_root: Annotated[str, typer.Option(help="Where the data is; a path or URL.")] = ".",
    out: Annotated[str, typer.Option(help="Run folder to write; a path or any fsspec URL.")] = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME[,NAME...]",
            help="Shipped profiles or YAML files; several are compared. Without it, that of each "
            f"--method's name; without both, {DEFAULT_PROFILE}.",
        ),
    ] = "",
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Replaces the method of the profiles; several are compared.",
        ),
    ] = None,
    settings: Settings = None,
    shot: Annotated[int, typer.Option(min=1, help="Examples for each question.")] = 1,
    fold: Annotated[
        list[str] | None, typer.Option(help="Fold to run; may be repeated; all by default.")
    ] = None,
    prompt_rule: Annotated[
        str,
        typer.Option(
            help="How examples are chosen, RULE or RULE:SEED; `ipseg data list` has the rules."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the episodes that are drawn.")] = 0,
    include_prompt: Annotated[
        bool, typer.Option("--include-prompt", help="Evaluate the examples themselves, too.")
    ] = False,
    support: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[,KIND...]",
            help="How the object of an example is found: mask (its ground truth), saliency, box, "
            "point or none; by default as the protocol has it. Several are compared.",
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=V1,V2,...", help="Settings to compare; all combinations."),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option(
            "--paper-table",
            "--table",
            metavar="N",
            help="Run the rows of a table of the paper, 1 to 7, that methods here can run; the "
            "others are printed as published.",
        ),
    ] = None,
    mask_frame: Annotated[
        str | None,
        typer.Option(
            metavar="image|segmenter",
            help="Compare masks at the size of the image (default), or as the segmenter saw it, "
            "as IPSeg's released code does.",
        ),
    ] = None,
    formula: Annotated[
        str | None,
        typer.Option(
            help="Formula of the headline number: A, A', B, C, D, P, JF, J, F, F1, N, AP."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first episodes of each fold, for a try.")
    ] = None,
    engine: Engine = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over, instead of going on.")
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="failed[:TYPE,...]",
            help="Do again whatever failed; or only queries that failed by errors of these types.",
        ),
    ] = None,
    max_failure_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Stop (exit code 3) when more queries fail."),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="Folder for indexes of label maps, if the data root is read-only."),
    ] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Measure a method on a benchmark, beside the published numbers."""
    from ipseg.benchmarks.open import benchmark_class

    if not out:
        raise ConfigError("give a run folder: --out DIR")
    checked_engine(engine)
    if more and not sweep:
        raise ConfigError(f"'{more[0]}' is one argument too many; settings go behind --sweep")
    measured: dict[str, Any] = {
        "out": out,
        "profiles": _listed(profile),
        "methods": _listed(method or ""),
        "settings": settings or (),
        "sweep": (*(sweep or ()), *(more or ())),
        "folds": fold or (),
        "support": _listed(support or ""),
        "limit": limit,
        "engine": engine,
        "overwrite": overwrite,
        "max_failure_rate": max_failure_rate,
    }
    if benchmark in INSTANCE_BENCHMARKS:
        given = {
            "--prompt-rule": prompt_rule,
            "--seed": seed,
            "--include-prompt": include_prompt,
            "--table": table,
            "--mask-frame": mask_frame,
            "--formula": formula,
        }
        if odd := [name for name, value in given.items() if value]:
            raise ConfigError(f"{benchmark} has no {odd[0]}: its seeds are folds (--fold seed0)")
        _evaluate_instances(data_root, shot, strict, measured, retry, json)
        return
    kind = benchmark_class(benchmark)
    from ipseg.benchmarks.benchmark import Sampling
    from jobs.evaluation.request import EvaluationRequest
    from jobs.evaluation.run import run_evaluation
    from jobs.reading import Reading
    from pipeline.runfolder.finished import Retry

    rule, drawn = _rule(prompt_rule)
    reading = Reading(f"reading {benchmark}")
    request = EvaluationRequest(
        benchmark=kind(data_root, shot=shot, cache=cache, strict=strict, progress=reading),
        sampling=Sampling(shot, seed if drawn is None else drawn, rule, not include_prompt),
        table=table,
        mask_frame=mask_frame,
        formula=formula,
        retry=None if retry is None else Retry.parse(retry),
        **measured,
    )
    with reading:
        whole = run_evaluation(request, as_json=json)
    if not whole:
        raise typer.Exit(PARTIAL)


def _evaluate_instances(
    data_root: str, shot: int, strict: bool, measured: dict[str, Any], retry: str | None, json: bool
) -> None:
    from ipseg.benchmarks.datasets.coco_novel import CocoNovelBenchmark
    from jobs.evaluation.instances import InstanceRequest, run_instance_evaluation
    from pipeline.runfolder.finished import Retry

    request = InstanceRequest(
        benchmark=CocoNovelBenchmark(data_root, shot=shot, strict=strict),
        retry=None if retry is None else Retry.parse(retry),
        **measured,
    )
    if not run_instance_evaluation(request, as_json=json):
        raise typer.Exit(PARTIAL)


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _rule(text: str) -> tuple[str, int | None]:
    """A rule and its seed, from RULE or RULE:SEED."""
    rule, sign, seed = text.partition(":")
    if not sign:
        return rule, None
    if not seed.isdecimal():
        raise ConfigError(f"--prompt-rule {text!r}: the seed is no number")
    return rule, int(seed)
