"""`ipseg prompts`: what is taken for the object of each prompt, all of them in one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ipseg.config import Config
from ipseg.errors import ConfigError, PromptError
from ipseg.methods.chain import prompt_chains
from ipseg.rows import Mask, Row, Step, is_failed
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png
from ipseg.vision.masks import read_soft_mask
from ipseg.vision.overlay import Tile, colour_of, grid, isolate
from jobs.output import print_json, write_file

_UNREADABLE = np.full((180, 240, 3), 225, np.uint8)  # in place of an image


def draw_prompts(rows: Sequence[Row], out: Path, config: Config, *, as_json: bool) -> None:
    """Finds the object of every prompt, as `segment` does, and draws all of them.

    Args:
        rows: from `gather_prompts`.
        out: PNG to write.
        config: says how objects are found.
        as_json: print JSON instead of a table.

    Raises:
        PromptError: a prompt cannot be used; the drawing is written before, and says why.
        ConfigError: the method takes no prompt images, or a part is not set that the support needs.
        OutputError: `out` cannot be written.
    """
    steps = _steps(config, drawn=any(r.get("given_box") or r.get("given_points") for r in rows))
    prepare(steps)
    found = list(run_local(steps, rows))
    names = sorted({row["concept"] for row in found})
    tiles = [_tile(row, names.index(row["concept"])) for row in found]
    write_file(out, encode_png(grid(tiles)))
    summary = [_summary(row) for row in found]
    if as_json:
        print_json({"out": str(out), "prompts": summary})
    else:
        console = Console()
        console.print(_table(summary))
        console.print(f"image: {out}", soft_wrap=True)
    if failed := [row for row in found if is_failed(row)]:
        raise PromptError(
            f"{len(failed)} of {len(found)} prompts cannot be used, first {failed[0]['uri']}: "
            f"{failed[0]['error_message']}"
        )


def _steps(config: Config, *, drawn: bool) -> list[Step]:
    """The steps of the prompts' chain up to the one that finds the object."""
    if config.method.prompted_by != "image":
        raise ConfigError(
            f"method {config.method_name} goes by names of concepts: there are no prompts to draw"
        )
    steps = prompt_chains({"": config}, drawn=drawn).steps
    last = next(i for i, step in enumerate(steps) if "support_mask" in step.provides)
    return steps[: last + 1]


def _mask(row: Row) -> Mask:
    return read_soft_mask(row["support_mask"]) > 0.5


def _tile(row: Row, index: int) -> Tile:
    caption = f"{row['concept']}: {row['key']}"
    if is_failed(row):
        return Tile(row.get("image", _UNREADABLE), caption, row["error_message"])
    return Tile(isolate(row["image"], _mask(row), colour_of(index)), caption, row["warning"] or "")


def _summary(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"mask_source": None, "share": None, "warning": None}
    if not is_failed(row):
        found = {
            "mask_source": row["mask_source"],
            "share": round(float(np.mean(_mask(row))), 4),
            "warning": row["warning"],
        }
    names = {name: row[name] for name in ("concept", "key")}
    return {**names, **found, "error": row.get("error_message")}


def _table(summary: Sequence[dict[str, Any]]) -> Table:
    table = Table("concept", "prompt", "object from", "covers", "warning")
    for each in summary:
        table.add_row(
            each["concept"],
            each["key"],
            each["mask_source"] or "-",
            "-" if each["share"] is None else f"{each['share']:.1%}",
            Text(each["error"], "red") if each["error"] else each["warning"],
        )
    return table
