"""`ipseg plan`: what a run would do with these machines, and how long it might take."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.commands.collection import PROMPT_EXAMPLES, Segmenting
from jobs.commands.grouped import grouped
from jobs.commands.options import Json
from jobs.output import print_json

if TYPE_CHECKING:
    from jobs.bench.gpu.figures import Pace
    from pipeline.plan import Preview
    from pipeline.planning.cluster import Cluster
    from pipeline.planning.estimate import Estimate, Load
    from pipeline.planning.plan import Plan, StagePlan

EPILOG = f"""
[bold]Examples[/bold]

What would run where; no image is looked at, nothing is written:

    ipseg plan --images photos/ --prompts prompts/

Measure the stages on the first images, and say how long a million take:

    ipseg plan --images photos/ --prompts prompts/ --calibrate --count 1000000

What a million take of a card that was measured (`ipseg bench --gpu`), at 2.50 for an hour of one:

    ipseg plan --images photos/ --prompts prompts/ --profile ipseg --figures gpu.json --price 2.5

On a cluster that runs already, as data for a script:

    RAY_ADDRESS=auto ipseg plan --images s3://bucket/photos --prompt-bank masks/ --json
{PROMPT_EXAMPLES.format(verb="plan")}
A plan that could deadlock is refused, with what to change. Exit codes: 0; 1 if the plan does not
fit the machines, or images or prompts cannot be used; 2 if a setting is wrong.
"""


@grouped
def plan(
    collection: Segmenting,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure the stages on the first images; estimate time."),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Images to estimate for; by default those that --images holds."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="File of `ipseg bench --gpu`: GPU-hours as measured. By default the project's "
            "docs/gpu.json, where there is one."
        ),
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Of a card for an hour: what a million images cost.")
    ] = None,
    json: Json = False,
) -> None:
    """Show machines, stages, workers and shares of a run before it is started; refuse a bad one."""
    request = collection.request(out="")
    from jobs.bench.gpu.figures import pace_in
    from pipeline.plan import preview

    pace = pace_in(figures, request.config)
    found = preview(request, calibrated=calibrate, count=count)
    if json:
        print_json(as_data(found) | {"measured": _of_card(found, pace, price)})
    else:
        print_plan(found)
        if any(each.stage.resources.gpu_memory_gb for each in found.images.stages):
            print(_of_card_in_words(found, pace, price))  # noqa: T201


def _of_card(found: Preview, pace: Pace | None, price: float | None) -> dict[str, Any] | None:
    """What a measured card takes, as plain data; None where none was measured."""
    if pace is None:
        return None
    million = pace.gpu_hours(1_000_000)
    return {
        **asdict(pace),
        "gpu_hours": None if found.rows is None else pace.gpu_hours(found.rows),
        "gpu_hours_per_million": million,
        "cost_per_million": None if price is None else million * price,
    }


def _of_card_in_words(found: Preview, pace: Pace | None, price: float | None) -> str:
    if pace is None:
        return (
            "no card was measured, so GPU-hours are not known: run `ipseg bench --gpu --out "
            "gpu.json` on one and give it by --figures gpu.json"
        )
    million = pace.gpu_hours(1_000_000)
    cost = "" if price is None else f", {million * price:,.2f} at {price:g} an hour"
    here = (
        "" if found.rows is None else f"{found.rows:,} images: {pace.gpu_hours(found.rows):.2f}; "
    )
    return (
        f"GPU-hours as measured on {pace.card}, {pace.date} ({1 / pace.seconds:.1f} images/s in "
        f"{pace.precision}, batch {pace.batch}): {here}a million images: {million:.1f}{cost}"
    )


def as_data(found: Preview) -> dict[str, Any]:
    """A preview as plain data; null for what is not known."""
    cluster = found.images.cluster
    return {
        "cluster": {
            "cpus": cluster.cpus,
            "gpus": cluster.gpus,
            "nodes": [asdict(node) for node in cluster.nodes],
        },
        "engine": {"name": found.engine, "why": found.why},
        "prompts": None if found.prompts is None else _plan_data(found.prompts),
        "images": _plan_data(found.images),
        "rows": found.rows,
        "costs": None
        if found.costs is None
        else {name: asdict(cost) for name, cost in found.costs.items()},
        "estimate": None if found.estimate is None else asdict(found.estimate),
    }


def _plan_data(plan: Plan) -> dict[str, Any]:
    return {
        "stages": [
            {
                "stage": each.stage.name,
                "actors": each.workers if each.stage.actor else None,
                "cpus": each.cpus,
                "gpus": each.gpus,
                "gpu_memory_gb": each.stage.resources.gpu_memory_gb,
                "batch_size": each.batch_size,
            }
            for each in plan.stages
        ],
        "task_cpus": plan.task_cpus,
        "task_slots": plan.slots,
        "block_rows": plan.block_rows,
        "card_gb": plan.card_gb if plan.cluster.gpus else None,
    }


def print_plan(found: Preview) -> None:
    """Prints a preview as tables and sentences."""
    console = Console()
    console.print(_machines(found.images.cluster))
    console.print(_stages(found))
    images = found.images
    console.print(
        f"tasks: {images.slots} slots of {images.task_cpus:g} CPU stay free, one of them for "
        f"reading; {images.block_rows} images in a block",
        highlight=False,
    )
    without = [each.stage.name for each in images.stages if each.stage.resources.gpu_memory_gb]
    if without and not images.cluster.gpus:
        console.print(f"no GPU: {', '.join(without)} on CPUs, which is slow", style="yellow")
    if found.engine == "local":
        console.print(
            f"this is for `--engine ray`; where none is named, `ipseg segment` takes engine local: "
            f"{found.why}",
            style="yellow",
            highlight=False,
        )
    else:
        console.print(f"engine ray: {found.why}", highlight=False)
    if found.estimate is None:
        console.print("time: add --calibrate to measure the stages on the first images")
    else:
        console.print(_verdict(found.estimate, known=found.rows is not None), highlight=False)


def _machines(cluster: Cluster) -> Table:
    table = Table("machines", "CPUs", "GPUs", "GB of a GPU")
    alike = Counter((node.cpus, node.gpus, node.card_gb) for node in cluster.nodes)
    for (cpus, gpus, card_gb), number in alike.items():
        memory = "unknown" if card_gb is None else f"{card_gb:.1f}"
        table.add_row(str(number), f"{cpus:g}", f"{gpus:g}", memory if gpus else "-")
    return table


def _stages(found: Preview) -> Table:
    table = Table("stage", "workers")
    for heading in ("CPUs", "GPU", "GB", "batch", "s/image", "busy"):
        table.add_column(heading, justify="right")
    loads = [*found.estimate.stages, *found.estimate.shared] if found.estimate else []
    by_name = {load.name: load for load in loads}
    if found.prompts is not None:
        for each in found.prompts.stages:
            table.add_row(f"prompts: {each.stage.name}", *_needs(each), "", "")
        table.add_section()
    for each in found.images.stages:
        load = by_name.get(each.stage.name)
        table.add_row(each.stage.name, *_needs(each), *_measured(load))
    if found.estimate is not None:
        table.add_section()
        for load in found.estimate.shared:
            workers = (f"{load.workers:g}", "", "", "", "")
            table.add_row(f"all {load.name}", *workers, *_measured(load))
    return table


def _measured(load: Load | None) -> tuple[str, str]:
    return (f"{load.seconds_per_row:.4f}", f"{load.share:.0%}") if load else ("-", "-")


def _needs(each: StagePlan) -> tuple[str, str, str, str, str]:
    memory = each.stage.resources.gpu_memory_gb
    plural = "s" if each.workers != 1 else ""
    return (
        f"{each.workers} actor{plural}" if each.stage.actor else "tasks",
        f"{each.cpus:g}",
        f"{each.gpus:.3f}" if each.gpus else "-",
        f"{memory:g}" if memory else "-",
        str(each.batch_size),
    )


def _verdict(estimate: Estimate, *, known: bool) -> str:
    images = f"{estimate.images:,} images" + ("" if known else " (how many there are is not known)")
    hours = f", {estimate.gpu_hours:.2f} GPU-hours" if estimate.gpu_hours else ""
    return (
        f"{images}: about {timedelta(seconds=round(estimate.seconds))} "
        f"({estimate.images_per_second:.2f} images/s after {estimate.setup_seconds:.1f} s of "
        f"loading){hours}; bottleneck: {estimate.bottleneck}"
    )
