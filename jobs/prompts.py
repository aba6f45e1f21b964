"""`ipseg prompts`: what saliency makes of each prompt, as one picture."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ipseg.config import Config
from ipseg.methods import create_method
from ipseg.prompts import check_prompts, find_prompts
from ipseg.rows import Row, is_failed
from ipseg.runner import prepare, run_local
from ipseg.vision.images import decode, encode_png
from ipseg.vision.masks import read_soft_mask
from ipseg.vision.overlay import Tile, colour_of, grid, isolate
from jobs.output import write_file

log = logging.getLogger("ipseg")


def show_prompts(folder: str, out: Path, config: Config, *, as_json: bool) -> None:
    """Isolates the object of every prompt in a folder and writes a contact sheet.

    Raises:
        PromptError: the folder or a picture in it cannot be used.
    """
    rows = find_prompts(folder)
    check_prompts(rows, config.images)
    steps = create_method(config).prompt_steps()
    isolating = steps[: 1 + next(i for i, s in enumerate(steps) if "prompt_mask" in s.provides)]
    prepare(isolating)
    done = list(run_local(isolating, rows))
    names = sorted({row["concept"] for row in done})
    tiles = [_tile(row, names.index(row["concept"])) for row in done]
    write_file(out, encode_png(grid(tiles)))
    summary = [_summary(row) for row in done]
    if as_json:
        print(json.dumps({"out": str(out), "prompts": summary}))  # noqa: T201
        return
    table = Table("concept", "prompt", "object from", "covers", "warning")
    for item in summary:
        share = "-" if item["share"] is None else f"{item['share']:.1%}"
        table.add_row(
            item["concept"], item["key"], item["mask_source"], share, item["warning"] or ""
        )
    console = Console()
    console.print(table)
    console.print(f"picture: {out}", soft_wrap=True)


def _tile(row: Row, index: int) -> Tile:
    image = decode(row["image_bytes"])
    caption = f"{row['concept']}: {row['key']}"
    if is_failed(row):
        return Tile(image, caption, row["error_message"])
    mask = read_soft_mask(row["prompt_mask"]) > 0.5
    return Tile(isolate(image, mask, colour_of(index)), caption, row["warning"] or "")


def _summary(row: Row) -> dict[str, object]:
    if is_failed(row):
        return {
            **{"concept": row["concept"], "key": row["key"], "mask_source": "-", "share": None},
            "warning": row["error_message"],
        }
    share = float(np.mean(read_soft_mask(row["prompt_mask"]) > 0.5))
    return {
        **{name: row[name] for name in ("concept", "key", "mask_source")},
        "share": round(share, 4),
        "warning": row["warning"],
    }
