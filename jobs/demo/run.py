"""`ipseg demo`: make a collection, segment it, evaluate, report."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ipseg.config import load_config
from ipseg.runner import prepare
from jobs.demo.baselines import baseline_ious
from jobs.demo.collection import write_collection
from jobs.output import print_json, write_file
from jobs.report.write import write_report
from jobs.segment import convincing_lines, quality_table
from jobs.terminal import plain
from pipeline.segment import Request, segment

log = logging.getLogger("ipseg")


def run_demo(out: Path, *, images: int, seed: int, as_json: bool) -> None:
    """Writes OUT/prompts, OUT/images, OUT/masks and the run in OUT/run, with its report.

    Raises:
        OutputError: OUT cannot be written to.
    """
    started = time.perf_counter()
    config = load_config(labelling=True)
    log.info("making a collection of %d images in %s", images, out)
    write_file(out / "README.txt", _README)  # fails early if the folder is not writable
    collection = write_collection(out, seed=seed, images=images)
    request = Request(
        images=str(collection.images),
        out=str(out / "run"),
        config=config,
        prompts=str(collection.prompts),
        masks=str(collection.masks),
        overwrite=True,
    )
    run = segment(request)
    log.info("measuring the baselines")
    support = config.support.step(None, drawn=False)
    prepare([support])
    examples = ((image, masks) for _, image, masks in collection.examples())
    metrics = run.metrics | {"baselines": baseline_ious(examples, support.saliency)}
    write_file(out / "run" / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
    report = write_report(str(out / "run"))
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"out": run.out, "report": report, "total_seconds": seconds, **metrics})
        return
    console = Console()
    console.print(quality_table(metrics["quality"], metrics["suggested"]))
    for line in convincing_lines(metrics["suggested"], "image"):
        console.print(plain(line), soft_wrap=True)
    console.print(_compared_with_baselines(metrics))
    console.print(
        f"{images} images, {len(collection.concepts)} concepts in {seconds:.0f} s "
        f"({metrics['images_per_second']:.1f} images/s in the pipeline)"
    )
    console.print(f"report: {report}", soft_wrap=True)


def _compared_with_baselines(metrics: dict[str, Any]) -> Table:
    table = Table("over (image, concept present)", "mean IoU")
    table.add_row("ipseg, profile classical", f"{metrics['quality']['mean_iou']:.3f}", style="bold")
    for name, value in metrics["baselines"].items():
        table.add_row(name, f"{value:.3f}")
    return table


_README = b"""Written by `ipseg demo`; may be deleted.

prompts/  one photo for each concept
images/   the collection, as Parquet shards
masks/    ground truth, <concept>/<key>.png
run/      what `ipseg segment` found; open run/report.html
"""
