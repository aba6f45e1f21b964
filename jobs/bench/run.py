"""`ipseg bench`: measures, prints tables, writes JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ipseg.config import Config
from ipseg.methods.ipseg.method import IPSeg
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import find
from jobs.bench.concepts import COUNTS, ConceptSeconds, measure
from jobs.bench.flops import Operations, count_profile, count_released
from jobs.bench.precision import Effect, compare_precisions
from jobs.bench.seconds import Timing, time_parts
from jobs.output import write_file

TERA = 1e12


@dataclass(frozen=True)
class Measured:
    """What a profile costs.

    Attributes:
        operations: of the parts of a similarity method; None for another one.
        concepts: seconds for more concepts; None where they were not measured.
        timings: seconds of the parts of a similarity method.
        effects: of the precision, where there are networks.
    """

    operations: Operations | None = None
    concepts: ConceptSeconds | None = None
    timings: Sequence[Timing] = ()
    effects: Sequence[Effect] = ()


def run_bench(config: Config, *, flops_only: bool, as_json: bool, out: Path | None) -> None:
    """Measures what a profile costs and prints it to stdout.

    Operations and seconds are those of the parts of similarity methods; of another method only
    the precision is measured.

    Args:
        config: of the profile.
        flops_only: count operations; needs no weights.
        as_json: print JSON instead of tables.
        out: file for the JSON; None for no file.

    Raises:
        ConfigError: a profile names weights whose sizes are not known.
        WeightsError: weights are missing or damaged (not with `flops_only`).
        OutputError: `out` cannot be written.
    """
    measured = _measure(config, flops_only=flops_only)
    data = _as_data(config, measured)
    if not flops_only:
        data["machine"] = _machine(config)
    text = json.dumps(data, indent=1)
    if out is not None:
        write_file(out, f"{text}\n".encode())
    if as_json:
        print(text)  # noqa: T201
        return
    console = Console()
    _print_operations(console, config, measured)
    if measured.timings or measured.effects:
        console.print(f"\nmeasured on {data['machine']['device']}", soft_wrap=True)
    if measured.timings:
        console.print(_seconds_table(measured.timings))
    if measured.effects:
        console.print(_precision_table(measured.effects))
        if any(find(need, config.models).where == "tiny" for need in needs(config.resolved)):
            console.print("these weights are random: their masks say nothing about precision")
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _measure(config: Config, *, flops_only: bool) -> Measured:
    method, models = config.method, config.models
    found = Measured()
    if isinstance(method, IPSeg):
        found = Measured(count_profile(method, config.support))
    if flops_only:
        return found
    if isinstance(method, IPSeg):
        timings = time_parts(method, config.support, models)
        found = replace(found, timings=timings, concepts=measure(method, models, found.operations))
    if method.row_is == "image" and needs(config.resolved):
        found = replace(found, effects=compare_precisions(config, _half(config)))
    return found


def _as_data(config: Config, measured: Measured) -> dict[str, Any]:
    operations = measured.operations
    return {
        "profile": config.profile,
        "method": config.method_name,
        "flops": None if operations is None else _flops(operations, count_released()),
        "concepts": None if operations is None else _concepts(operations, measured.concepts),
        "seconds": [vars(timing) for timing in measured.timings],
        "precision": [vars(effect) for effect in measured.effects],
    }


def _print_operations(console: Console, config: Config, measured: Measured) -> None:
    operations = measured.operations
    if operations is None:
        console.print(
            f"profile '{config.profile}' has method {config.method_name}; operations and seconds "
            f"are measured for similarity methods (method: ipseg)",
            soft_wrap=True,
        )
    elif operations.image:
        console.print(_flops_table(config, operations, count_released()))
        _print_totals(console, operations, count_released())
        console.print(_concepts_table(_concepts(operations, measured.concepts)))
    else:
        console.print(f"profile '{config.profile}' has no networks, so no operations to count")


def _flops(operations: Operations, released: Mapping[str, int]) -> dict[str, Any]:
    return {
        "image": operations.image,
        "concept": operations.concept,
        "prompt": operations.prompt,
        "total": operations.total(),
        "total_without_odise": operations.without_term(),
        "total_with_odise": operations.with_term(),
        "released": dict(released),
        "released_total": sum(released.values()),
    }


def _concepts(operations: Operations, measured: ConceptSeconds | None) -> dict[str, Any]:
    def row(count: int) -> dict[str, Any]:
        found: dict[str, Any] = {"concepts": count, "flops": operations.total(count)}
        found["flops_ratio"] = operations.total(count) / operations.total(1)
        if measured is not None:
            found["seconds_ratio"] = measured.ratio(count)
        return found

    return {
        "rows": [row(count) for count in COUNTS],
        "measured": None if measured is None else vars(measured),
    }


def _half(config: Config) -> tuple[str, ...]:
    """The 16-bit formats that the device is good at; all that a CPU has is bfloat16."""
    device = config.models.torch_device().type
    return ("bfloat16", "float16") if device == "cuda" else ("bfloat16",)


def _machine(config: Config) -> dict[str, Any]:
    device = config.models.torch_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    threads = torch.get_num_threads()
    return {
        "device": f"{name} ({device.type}, {threads} CPU threads)",
        "threads": threads,
        "torch": torch.__version__,
    }


def _flops_table(config: Config, operations: Operations, released: Mapping[str, int]) -> Table:
    table = Table("TFLOP for one image", "here", "released code", title=f"profile {config.profile}")
    ours = operations.image | operations.concept
    for part in [*released, *(part for part in ours if part not in released)]:
        here = ours.get(part)
        note = ""
        if part in operations.concept:
            note = " (each concept)"
        elif part in operations.prompt and part not in operations.image:
            note, here = " (each prompt, once)", operations.prompt[part]
        table.add_row(part + note, _tera(here), _tera(released.get(part)))
    for part, count in operations.prompt.items():
        if part not in released and part not in ours:
            table.add_row(f"{part} (each prompt, once)", _tera(count), _tera(None))
    table.add_section()
    table.add_row(
        "one image, one concept", _tera(operations.total()), _tera(sum(released.values()))
    )
    return table


def _print_totals(console: Console, operations: Operations, released: Mapping[str, int]) -> None:
    total = sum(released.values())
    if operations.conditioning:
        for name, count in (
            ("without the ODISE term", operations.without_term()),
            ("with the ODISE term", operations.with_term()),
        ):
            console.print(f"{name}: {count / TERA:.2f} TFLOP, {total / count:.2f} times fewer")
    else:
        count = operations.total()
        console.print(f"{count / TERA:.2f} TFLOP, {total / count:.1f} times fewer")


def _concepts_table(concepts: dict[str, Any]) -> Table:
    table = Table("concepts", "TFLOP", "cost, of one concept's", "the same in seconds *")
    for row in concepts["rows"]:
        seconds = row.get("seconds_ratio")
        table.add_row(
            str(row["concepts"]),
            _tera(row["flops"]),
            f"{row['flops_ratio']:.3f}",
            "-" if seconds is None else f"{seconds:.3f}",
        )
    measured = concepts["measured"]
    if measured is not None:
        table.caption = (
            f"* {measured['concept']:.3f} s for a concept, measured with a decoder of the "
            f"published size; {measured['image']:.1f} s for the encoders, at the "
            f"{measured['rate'] / TERA:.2f} TFLOP/s of matrix products here"
        )
    return table


def _seconds_table(timings: Sequence[Timing]) -> Table:
    table = Table("part", "for each", "load s", "first s", "then s", "GPU GB (declared)")
    for timing in timings:
        memory = "-" if timing.gpu_memory_gb is None else f"{timing.gpu_memory_gb:.2f}"
        if timing.declared_gb:
            memory += f" ({timing.declared_gb:g})"
        table.add_row(
            timing.part,
            timing.per,
            f"{timing.load:.2f}" if timing.load else "-",
            f"{timing.first:.4f}",
            f"{timing.seconds:.4f}",
            memory,
        )
    return table


def _precision_table(effects: Sequence[Effect]) -> Table:
    table = Table("precision", "s for an image", "mean IoU with float32", "least", "same points")
    for effect in effects:
        table.add_row(
            effect.precision,
            f"{effect.seconds:.2f}",
            "-" if effect.mean_iou is None else f"{effect.mean_iou:.4f}",
            "-" if effect.least_iou is None else f"{effect.least_iou:.4f}",
            f"{effect.same_points:.0%}",
        )
    return table


def _tera(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / TERA:.3f}" if count >= 1e9 or count == 0 else f"{count / TERA:.1e}"
