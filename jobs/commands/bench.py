"""`ipseg bench`: what things cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from ipseg.components import DEFAULT_PROFILE
from ipseg.errors import ConfigError
from jobs.commands.options import Json, Profile, Settings

OfOneRow = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="With --engine: of one row.")
]

ALL = "all"  # in place of a profile

EPILOG = """
[bold]Examples[/bold]

    ipseg bench --flops --profile ipseg-released

The operations of every profile in one table:

    ipseg bench --flops --profile all

    ipseg bench --profile ipseg --set models.root=tiny/ --out bench.json

The engine alone, on rows whose steps only wait, as for a GPU:

    ipseg bench --engine --rows 100000

What the engine costs by itself, with larger blocks:

    ipseg bench --engine --rows 20000 --match 0 --points 0 --segment 0 --set runtime.block_rows=1024

How many of several objects in an image are found, with a profile:

    ipseg bench --instances --images 60

Everything about an NVIDIA card, with random weights of the published sizes (docs/gpu.md); the same
command again goes on with what was left:

    ipseg bench --gpu --budget 600 --out gpu.json

With --engine the real pipeline runs (listing, read tasks, pools, parts, success files) without
images or models, into a temporary folder (TMPDIR; on a cluster, one that all machines see). It
assumes 100,000 rows, steps that sleep 2 ms (match), 0.1 ms (points) and 4 ms (segment) for a row,
two actors in each pool, and batches of 128, blocks of 512 and parts of 1024 rows, since rows so
cheap go in larger batches than images. Efficiency is the time that a worker of the slowest step
works, divided by the time from the plan to the last success file, in which workers also start.
"""


def bench(
    profile: Profile = DEFAULT_PROFILE,
    settings: Settings = None,
    flops: Annotated[
        bool, typer.Option("--flops", help="Only count operations at real sizes; runs nothing.")
    ] = False,
    engine: Annotated[
        bool,
        typer.Option("--engine", help="Run the pipeline on steps of known cost, without models."),
    ] = False,
    instances: Annotated[
        bool,
        typer.Option(
            "--instances",
            help="Count instances that are found in generated images with several copies of an "
            "object, with instances.mode one and each, and in a photo of coins.",
        ),
    ] = False,
    images: Annotated[
        int | None, typer.Option(min=1, help="With --instances: how many (60).")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="With --engine: how many.")
    ] = None,
    match: OfOneRow = None,
    points: OfOneRow = None,
    segment: OfOneRow = None,
    kind: Annotated[
        Literal["sleep", "spin"] | None,
        typer.Option(help="With --engine: wait as for a GPU, or keep a core busy."),
    ] = None,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Measure the card here: networks, profiles, precisions; random weights, no Ray.",
        ),
    ] = False,
    budget: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="With --gpu: at most (600).")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="With --gpu: list the parts and their seconds, no more.")
    ] = False,
    short: Annotated[
        bool,
        typer.Option("--short", help="With --gpu: try the code with tiny networks, also on a CPU."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well.")] = None,
    json: Json = False,
) -> None:
    """Measure cost: FLOPs and seconds by part, the number of concepts, the engine, or a card.

    With --instances: how many instances are found.
    """
    options = {"rows": rows, "match": match, "points": points, "segment": segment, "kind": kind}
    given = {name: value for name, value in options.items() if value is not None}
    if gpu:
        if given or flops or engine or instances or images is not None or settings or json:
            raise ConfigError(
                "--gpu is measured alone: of the other options it takes --budget, --plan, --short "
                "and --out"
            )
        _bench_gpu(600.0 if budget is None else budget, out, planned=plan, short=short)
        return
    if budget is not None or plan or short:
        raise ConfigError("--budget, --plan and --short are about the card; add --gpu")
    if instances:
        if given or flops or engine:
            raise ConfigError("--instances is measured alone: leave the other options out")
        from jobs.bench.instances import run_instances

        of = {"images": 60 if images is None else images, "seed": 0}
        run_instances(profile, settings or [], **of, as_json=json, out=out)
        return
    if images is not None:
        raise ConfigError("--images is about instances; add --instances")
    if engine:
        _bench_engine(given, settings or [], flops=flops, out=out, as_json=json)
        return
    if given:
        raise ConfigError(f"--{next(iter(given))} is about the engine; add --engine")
    if profile == ALL:
        if not flops or settings:
            raise ConfigError("--profile all goes with --flops, and without --set")
        from jobs.bench.every_profile import run_every

        run_every(as_json=json, out=out)
        return
    from ipseg.config import load_config
    from jobs.bench.run import run_bench

    run_bench(load_config(profile, settings or ()), flops_only=flops, as_json=json, out=out)


def _bench_gpu(budget: float, out: Path | None, *, planned: bool, short: bool) -> None:
    from jobs.bench.gpu.run import print_plan, run_gpu

    if planned:
        print_plan(budget, out, short=short)
    elif out is None:
        raise ConfigError("--gpu writes after every part: name the file by --out FILE")
    else:
        run_gpu(out, budget, short=short)


def _bench_engine(
    given: Mapping[str, object],
    settings: list[str],
    *,
    flops: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    other = [setting for setting in settings if not setting.startswith("runtime.")]
    if flops or other:
        what = f"--set {other[0]}" if other else "--flops"
        raise ConfigError(f"{what} is about models; --engine runs none, only runtime.* counts")
    from ipseg.config import load_config
    from jobs.bench.engine import RUNTIME, SyntheticRun
    from jobs.bench.engine_report import run_engine_bench

    chosen = ("batch_size", "block_rows", "part_rows", "actors")
    ours = [f"runtime.{name}={getattr(RUNTIME, name)}" for name in chosen]
    runtime = load_config(DEFAULT_PROFILE, [*ours, *settings]).runtime
    run_engine_bench(SyntheticRun(**given, runtime=runtime), as_json=as_json, out=out)  # type: ignore[arg-type]
