"""Operations of all profiles in one table: `ipseg bench --flops --profile all`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from ipseg.bank import PromptsInMemory
from ipseg.config import Config, load_config, profiles
from ipseg.errors import ConfigError
from ipseg.methods.ipseg.method import IPSeg
from ipseg.methods.method import Method
from ipseg.methods.persam.method import PerSAMMethod
from ipseg.methods.sine.network import SineNetwork
from ipseg.networks.shared import Part, network_key
from ipseg.segmenters.promptable import PromptableNetwork
from ipseg.steps.network_step import NetworkStep
from ipseg.weights.architectures import SINE_FILE
from jobs.bench.counting import META, Counted, count, operations, published
from jobs.bench.flops import (
    DECODER,
    ENCODER,
    Operations,
    count_profile,
    count_segmenter,
    count_support,
)
from jobs.output import write_file

TERA = 1e12
_MANY = 80  # concepts


def run_every(*, as_json: bool, out: Path | None, names: Sequence[str] = ()) -> None:
    """Counts profiles at the published sizes of their networks and prints one table.

    Args:
        as_json: print JSON instead of the table.
        out: file for the JSON; None for no file.
        names: of profiles; none for all that are shipped.

    Raises:
        OutputError: `out` cannot be written.
    """
    rows = [_row(load_config(name)) for name in names or profiles()]
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

    Of others than similarity methods: the networks that their steps name, each once for an image.
    How often a decoder then runs is known of PerSAM; where it depends on the image, the operations
    of one prompt are given among what is left out.

    Raises:
        ConfigError: a profile names weights whose sizes are not known.
    """
    method = config.method
    if isinstance(method, IPSeg):
        return count_profile(method, config.support)
    image: dict[str, int] = {}
    concept: dict[str, int] = {}
    left_out: tuple[str, ...] = ()
    segmenter = None
    for part in _networks(method):
        if isinstance(part, PromptableNetwork):
            segmenter = part
            passes = 3 if isinstance(method, PerSAMMethod) else 1
            image[ENCODER], decoder = count_segmenter(part, 1, passes)
            if passes == 1:
                left_out += (f"{DECODER}: {decoder / TERA:.4f} for each prompt given to it",)
            else:
                concept[DECODER] = decoder
        else:
            counted = _sine(part, method) if isinstance(part, SineNetwork) else operations(part)
            image |= counted.operations
            left_out += counted.left_out
    prompt = count_support(config.support.step(segmenter, drawn=False))
    return Operations(image, concept, prompt.operations, 0, left_out + prompt.left_out)


def _networks(method: Method) -> list[Part]:
    """Those that the steps for images name, each once."""
    nothing = PromptsInMemory([], method.merge)
    steps = (step for step in method.image_steps(nothing) if isinstance(step, NetworkStep))
    return list({network_key(part): part for step in steps for part in step.networks}.values())


def _sine(part: SineNetwork, method: Any) -> Counted:  # noqa: ANN401  (has a canvas)
    """DINOv2 and the neck on a whole canvas."""
    encoder = published(part.encoder)[""]
    side = method.canvas.side
    cells, width = side // encoder.config.patch_size, encoder.config.hidden_size
    neck = published(SINE_FILE)[""].image_encoder.neck
    found = {
        "dinov2": count(lambda: encoder(torch.empty(1, 3, side, side, device=META))),
        "neck": count(lambda: neck(torch.empty(1, width, cells, cells, device=META))),
    }
    return Counted(found, left_out=("M-Former",))


def _row(config: Config) -> dict[str, Any]:
    row: dict[str, Any] = {"profile": config.profile, "method": config.method_name}
    try:
        found = count_any(config)
    except ConfigError as error:
        return row | {"image": None, "concept": None, "prompt": None, "left_out": [str(error)]}
    known = bool(found.image) and (bool(found.concept) or not found.left_out)
    return row | {
        "image": sum(found.image.values()),
        "concept": sum(found.concept.values()) if known else None,
        "prompt": sum(found.prompt.values()),
        "total": found.total() if known else None,
        "many": found.total(_MANY) / found.total() if known else None,
        "left_out": list(found.left_out),
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        *("profile", "image", "each concept", "one image, one concept", f"{_MANY} concepts / 1"),
        *("each prompt, once", "not counted"),
        box=box.MARKDOWN,
    )
    for row in rows:
        many = row.get("many")
        table.add_row(
            row["profile"],
            *(_tera(row.get(name)) for name in ("image", "concept", "total")),
            "" if many is None else f"{many:.2f}",
            _tera(row["prompt"]),
            "; ".join(row["left_out"]) or ("" if row["image"] else "has no networks"),
        )
    return table


def _tera(operations: int | None) -> str:
    if not operations:
        return ""
    return f"{operations / TERA:.3f}" if operations >= TERA / 2000 else "< 0.001"
