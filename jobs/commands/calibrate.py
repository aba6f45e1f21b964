"""`ipseg calibrate`: what scores are worth, by a few labelled images."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Json

EPILOG = """
[bold]Examples[/bold]

Label some images, drawn at random: DIR/cup/a/b.png is the mask of a/b.jpg for cup. An image with
a mask of one concept lacks the concepts that it has no mask of; one that has none of them gets a
black mask:

    ipseg calibrate masks/ --labels labelled/

Every image is labelled, and those without a mask have none of the concepts:

    ipseg calibrate masks/ --labels ground-truth/ --all-images

Decisions of a review are labels where images were decided completely, or objects drawn at random:

    ipseg calibrate masks/ --reviewed

Thresholds at which 9 of 10 labels are right, with 95 % certainty:

    ipseg calibrate masks/ --labels labelled/ --precision 0.9

Another run of the same settings, without labels; with them, it is measured how well it does there:

    ipseg calibrate other/ --from masks/

Needs 50 labelled objects, 10 of them good and 10 not. No model runs. The calibration is kept in
calibration.json in the run folder; `ipseg report` draws it, `ipseg export --threshold calibrated`
uses its thresholds.

Exit codes: 0; 1 if labels or runs cannot be read; 2 if there are too few labels, or the settings of
two runs differ.
"""


def calibrate(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Masks of some images, laid out as for segment --masks."),
    ] = None,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="What people decided in a review serves as labels.")
    ] = False,
    of: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Run folder whose calibration is taken over."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share of labels that are to be right, 0 to 1."),
    ] = None,
    all_images: Annotated[
        bool,
        typer.Option(
            "--all-images", help="Images without any mask have none of the concepts, not no label."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Fit what scores are worth on a few labelled images: probabilities and thresholds."""
    from jobs.calibration import print_calibrated
    from pipeline.labels.calibrate import calibrate

    done = calibrate(
        out,
        masks=labels,
        reviewed=reviewed,
        of=of,
        precision=precision,
        every_image=all_images,
    )
    print_calibrated(out, done, as_json=json)
