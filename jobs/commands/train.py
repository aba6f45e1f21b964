"""`ipseg train`: train what a method needs."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands import options
from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

As released (50,000 steps; a week on eight GPUs), on the collections that are there:

    ipseg train sine --data coco/ --data ADEChallengeData2016/ --data objects365/ --out sine/
      --set models.root=weights/ --workers 8 --gpu

The small decoder, on one CPU, on a collection of one's own:

    ipseg train sine --data mine/ --out sine/ --config tiny --set encoder=facebook/dinov2-small

where mine/ is COCO's layout: annotations/instances_train.json and images/train/, as
`ipseg export RUN --format coco` writes it. The released weights, trained further:

    ipseg train sine --data mine/ --out sine/ --set start=sine_vitl14.pth
      --set optimisation.steps=2000

The same command started again goes on from its last checkpoint. How far it is:

    tensorboard --logdir sine/tensorboard

What is trained goes straight into segment, while it goes on, too:

    ipseg segment --images photos/ --prompts prompts/ --out run/
      --profile sine/profile.yaml

Layouts, settings and what is as released: docs/sine.md. Exit codes: 0; 1 if data or weights are
missing or damaged, or the training diverges; 2 if a setting is wrong or OUT has a checkpoint of
other settings.
"""


def train(
    method: Annotated[str, typer.Argument(help="What is trained: sine.")],
    data: Annotated[
        list[str],
        typer.Option(help="Folder in the layout of COCO, ADE20K or Objects365; may be repeated."),
    ],
    out: Annotated[str, typer.Option(help="Folder to write, on a disk that all workers see.")],
    config: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="full (as released), tiny, or a YAML file."),
    ] = "full",
    settings: options.Settings = None,
    workers: Annotated[
        int, typer.Option(min=1, help="That share each batch, as a group of Ray Train.")
    ] = 1,
    gpu: Annotated[bool, typer.Option("--gpu", help="A GPU for each worker.")] = False,
    engine: Annotated[
        str,
        typer.Option(help="ray, local for this process, or auto: local for one worker."),
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over, instead of going on.")
    ] = False,
    json: Json = False,
) -> None:
    """Train SINE on annotated collections; its weights go straight into segment."""
    engine = options.checked_engine(engine)
    from jobs.train import print_trained, training_of
    from pipeline.train import TrainRequest, train

    request = TrainRequest(
        training_of(method, config, settings or ()),
        tuple(data),
        out,
        workers,
        gpu,
        engine,  # type: ignore[arg-type]
        overwrite,
    )
    print_trained(train(request), as_json=json)
