"""`ipseg show`: one row of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ipseg.bank import PromptBank
from ipseg.errors import OutputError
from ipseg.methods.ipseg.scoring import notable
from ipseg.storage.addresses import fetch
from ipseg.vision.images import decode, encode_png
from ipseg.vision.masks import decode_rle
from ipseg.vision.overlay import Drawn, colour_of, draw
from jobs.output import write_file
from pipeline.runfolder.parts import read_row


def show_row(run: str, key: str, out: Path, min_score: float | None, *, as_json: bool) -> None:
    """Draws masks and points of one row on its picture.

    Without a score to go by, the objects that come near the best are drawn.

    Raises:
        OutputError: no such run or key, the row failed, or the picture is gone.
    """
    row = read_row(run, key)
    if row["row_status"] == "failed":
        raise OutputError(f"{key} failed in stage '{row['error_stage']}': {row['error_message']}")
    try:
        image = decode(fetch(row["uri"]))
    except OSError as error:
        raise OutputError(f"cannot read the picture of {key} at {row['uri']}: {error}") from error
    names = PromptBank.read(f"{run.rstrip('/')}/prompt_bank.parquet").names
    scores = {item["concept"]: item["score"] for item in row["objects"]}
    shown = notable(scores, min_score)
    # The surest on top.
    objects = sorted(
        (item for item in row["objects"] if item["concept"] in shown),
        key=lambda item: float(item["score"]),
    )
    write_file(out, encode_png(draw(image, [drawn_object(item, names) for item in objects])))
    if as_json:
        summary = [{k: item[k] for k in ("concept", "score", "bbox", "area")} for item in objects]
        print(json.dumps({"out": str(out), "key": key, "objects": summary}))  # noqa: T201
        return
    table = Table("concept", "score", "predicted IoU", "presence", "area")
    for item in objects:
        share = item["area"] / (row["width"] * row["height"])
        numbers = (item["score"], item["predicted_iou"], item["presence"])
        table.add_row(item["concept"], *(f"{n:.3f}" for n in numbers), f"{share:.1%}")
    console = Console()
    console.print(table)
    console.print(f"picture: {out}", soft_wrap=True)


def drawn_object(item: dict[str, Any], names: tuple[str, ...]) -> Drawn:
    """An entry of the column `objects` as something to draw, in its concept's colour."""
    points = [(p["x"], p["y"], p["label"]) for p in item["points"]]
    return Drawn(
        colour=colour_of(names.index(item["concept"])),
        mask=decode_rle(item["segmentation"]),
        points=np.array(points, np.float32).reshape(-1, 3),
        label=f"{item['concept']} {item['score']:.2f}",
    )
