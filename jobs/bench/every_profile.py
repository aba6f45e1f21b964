"""Operations of all profiles in one table: `ipseg bench --flops --profile all`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ipseg.bank import PromptsInMemory
from ipseg.config import Config, load_config, profiles
from ipseg.errors import ConfigError
from ipseg.methods.ipseg.method import IPSeg
from ipseg.methods.method import Method
from ipseg.networks.shared import Part, network_key
from ipseg.segmenters.promptable import PromptableNetwork
from ipseg.steps.network_step import NetworkStep
from jobs.bench.decodes import segmented
from jobs.bench.flops import Operations, count_profile, count_support
from jobs.bench.method_parts import used
from jobs.output import write_file

TERA = 1e12
_MANY = 80  # concepts
WITHOUT_NETWORKS = {"similarity", "points"}  # what is counted of a concept where there are none


def run_every(*, as_json: bool, out: Path | None, configs: Iterable[Config] = ()) -> None:
    """Counts profiles at the published sizes of their networks and prints one table.

    Args:
        as_json: print JSON instead of the table.
        out: file for the JSON; None for no file.
        configs: of the profiles; none for all that are shipped.

    Raises:
        OutputError: `out` cannot be written.
    """
    rows = [_row(config) for config in configs or map(load_config, profiles())]
    text = json.dumps(rows, indent=1)
    if out is not None:
        write_file(out, f"{text}\n".encode())
    if as_json:
        print(text)  # noqa: T201
        return
    # Wide enough for any row, and in Markdown, so that it can stand in a document as it is.
    console = Console(width=400)
    console.print("TFLOP of the networks, at their published sizes")
    console.print(_table(rows))


def count_any(config: Config) -> Operations:
    """Operations of a profile of any method.

    Of others than similarity methods: the networks that their steps name, for an image and for each
    concept in it, as the method uses them.

    Raises:
        ConfigError: a profile names weights whose sizes are not known.
    """
    method = config.method
    if isinstance(method, IPSeg):
        return count_profile(method, config.support)
    parts = _networks(method)
    counts = [
        segmented(p, method) if isinstance(p, PromptableNetwork) else used(p, method) for p in parts
    ]
    segmenter = next((part for part in parts if isinstance(part, PromptableNetwork)), None)
    prompt = count_support(config.support.step(segmenter, drawn=False))
    image: dict[str, int] = {}
    concept: dict[str, int] = {}
    for each in counts:
        image |= each.operations
        concept |= each.concept
    left_out, notes = (
        tuple(text for each in (*counts, prompt) for text in getattr(each, name))
        for name in ("left_out", "notes")
    )
    return Operations(image, concept, prompt.operations, 0, left_out, notes)


def _networks(method: Method) -> list[Part]:
    """Those that the steps for images name, each once."""
    nothing = PromptsInMemory([], method.merge)
    steps = (step for step in method.image_steps(nothing) if isinstance(step, NetworkStep))
    return list({network_key(part): part for step in steps for part in step.networks}.values())


def _row(config: Config) -> dict[str, Any]:
    row: dict[str, Any] = {"profile": config.profile, "method": config.method_name}
    try:
        found = count_any(config)
    except ConfigError as error:
        return row | {"image": None, "concept": None, "prompt": None, "left_out": [str(error)]}
    if not (found.image or found.left_out) and found.concept.keys() <= WITHOUT_NETWORKS:
        prompt = sum(found.prompt.values())
        return row | {"image": 0, "concept": None, "prompt": prompt, "left_out": []}
    known = not found.left_out
    return row | {
        "image": sum(found.image.values()),
        "concept": sum(found.concept.values()) or (0 if known else None),
        "prompt": sum(found.prompt.values()),
        "total": found.total() if known else None,
        "many": found.total(_MANY) / found.total() if known else None,
        "left_out": list(found.left_out),
        "notes": list(found.notes),
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        *("profile", "image", "each concept", "one image, one concept", f"{_MANY} concepts / 1"),
        *("each prompt, once", "not counted, or counted how"),
        box=box.MARKDOWN,
    )
    for row in rows:
        many = row.get("many")
        table.add_row(
            row["profile"],
            *(_tera(row.get(name)) for name in ("image", "concept", "total")),
            "" if many is None else f"{many:.2f}",
            _tera(row["prompt"]),
            "; ".join([*row["left_out"], *row.get("notes", ())]) or _without(row),
        )
    return table


def _without(row: Mapping[str, Any]) -> str:
    return "" if row["image"] or row["concept"] else "has no networks"


def _tera(operations: int | None) -> str:
    if not operations:
        return ""
    return f"{operations / TERA:.3f}" if operations >= TERA / 2000 else "< 0.001"
