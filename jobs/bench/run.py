"""`ipseg bench`: measures, prints tables, writes JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ipseg.config import Config
from ipseg.methods.ipseg.method import IPSeg
from ipseg.methods.persense.method import PerSenseMethod
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import random_weights
from jobs.bench.concepts import COUNTS, ConceptSeconds, measure
from jobs.bench.every_profile import WITHOUT_NETWORKS, count_any
from jobs.bench.flops import Operations, count_profile, count_released
from jobs.bench.points import measure_points
from jobs.bench.precision import compare_precisions
from jobs.bench.seconds import time_parts
from jobs.output import write_file

TERA = 1e12


def run_bench(config: Config, *, flops_only: bool, as_json: bool, out: Path | None) -> None:
    """Measures what a profile costs and prints it to stdout.

    Seconds are those of the parts of similarity methods; of another method only the precision is
    measured, and of PerSense what decoding points together saves. With random weights no precision
    is. With `flops_only` operations alone are counted, those of any method.

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
    data = _measured(config, flops_only=flops_only)
    text = json.dumps(data, indent=1)
    if out is not None:
        write_file(out, f"{text}\n".encode())
    if as_json:
        print(text)  # noqa: T201
        return
    console = Console()
    _print_operations(console, data)
    if data["seconds"] or data["precision"] or data["points"]:
        console.print(f"\nmeasured on {data['machine']['device']}", soft_wrap=True)
    if data["seconds"]:
        console.print(_seconds_table(data["seconds"]))
    if data["points"]:
        console.print(_points_line(data["points"]), soft_wrap=True)
    if data["precision"]:
        console.print(_precision_table(data["precision"]))
    if not flops_only and (names := random_weights(config)):
        random = f"precision is not compared, since these weights are random: {', '.join(names)}"
        console.print(random, soft_wrap=True)
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _measured(config: Config, *, flops_only: bool) -> dict[str, Any]:
    """What the profile costs, as it is written; what was not measured is null or empty."""
    method, models = config.method, config.models
    data: dict[str, Any] = {"profile": config.profile, "method": config.method_name}
    data |= {"flops": None, "concepts": None, "seconds": [], "precision": [], "points": None}
    if isinstance(method, IPSeg):
        operations = count_profile(method, config.support)
        seconds = None if flops_only else measure(method, models, operations)
        data["flops"] = _flops(operations, count_released())
        data["concepts"] = _concepts(operations, seconds)
        data["seconds"] = [] if flops_only else time_parts(method, config.support, models)
    elif flops_only:
        operations = count_any(config)
        data["flops"] = _flops(operations, {})
        data["concepts"] = _concepts(operations, None)
    if flops_only:
        return data
    if isinstance(method, PerSenseMethod):
        points = measure_points(method.segmenter, models)
        data["points"] = None if points is None else {**vars(points), "ratio": points.ratio}
    # Random weights say nothing about precision, and random counters find hundreds of points.
    if method.row_is == "image" and needs(config.resolved) and not random_weights(config):
        data["precision"] = list(compare_precisions(config, _half(config)))
    return data | {"machine": _machine(config)}


def _print_operations(console: Console, data: Mapping[str, Any]) -> None:
    profile, flops = data["profile"], data["flops"]
    if flops is None:
        console.print(
            f"profile '{profile}' has method {data['method']}; --flops counts its operations, "
            f"seconds are measured for similarity methods (method: ipseg)",
            soft_wrap=True,
        )
    elif flops["image"] or flops["concept"].keys() - WITHOUT_NETWORKS or flops["left_out"]:
        console.print(_flops_table(profile, flops))
        if flops["released"]:
            _print_totals(console, flops)
        for name, listed in (("not counted", flops["left_out"]), ("counted how", flops["notes"])):
            if listed:
                console.print(f"{name}: {'; '.join(listed)}", soft_wrap=True)
        if flops["released"] or not flops["left_out"]:
            console.print(_concepts_table(data["concepts"]))
    else:
        console.print(f"profile '{profile}' has no networks, so no operations to count")


def _flops(operations: Operations, released: Mapping[str, int]) -> dict[str, Any]:
    return {
        "image": operations.image,
        "concept": operations.concept,
        "prompt": operations.prompt,
        "left_out": list(operations.left_out),
        "notes": list(operations.notes),
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


def _flops_table(profile: str, flops: Mapping[str, Any]) -> Table:
    released = flops["released"]
    columns = ["here", *(["released code"] if released else [])]
    table = Table("TFLOP for one image", *columns, title=f"profile {profile}")
    # Of a part that is in several of these the last counts.
    kinds = {"prompt": " (each prompt, once)", "image": "", "concept": " (each concept)"}
    notes = {part: note for kind, note in kinds.items() for part in flops[kind]}
    counts = flops["prompt"] | flops["image"] | flops["concept"]
    for part in dict.fromkeys([*released, *flops["image"], *flops["concept"], *flops["prompt"]]):
        name = part + notes.get(part, "")
        cells = [_tera(counts.get(part)), _tera(released.get(part))]
        table.add_row(name, *cells[: len(columns)])
    table.add_section()
    totals = [_tera(flops["total"]), _tera(flops["released_total"])]
    table.add_row("one image, one concept", *totals[: len(columns)])
    return table


def _print_totals(console: Console, flops: Mapping[str, Any]) -> None:
    released, without, with_term = (
        flops[name] for name in ("released_total", "total_without_odise", "total_with_odise")
    )
    if with_term > without:
        for name, count in (("without", without), ("with", with_term)):
            times = f"{released / count:.2f} times fewer"
            console.print(f"{name} the ODISE term: {count / TERA:.2f} TFLOP, {times}")
    else:
        count = flops["total"]
        console.print(f"{count / TERA:.2f} TFLOP, {released / count:.1f} times fewer")


def _concepts_table(concepts: dict[str, Any]) -> Table:
    table = Table("concepts", "TFLOP", "cost, of one concept's", "the same in seconds *")
    for row in concepts["rows"]:
        ratios = (_number(row.get(name), 3) for name in ("flops_ratio", "seconds_ratio"))
        table.add_row(str(row["concepts"]), _tera(row["flops"]), *ratios)
    measured = concepts["measured"]
    if measured is not None:
        table.caption = (
            f"* {measured['concept']:.3f} s for a concept, measured with a decoder of the "
            f"published size; {measured['image']:.1f} s for the encoders, at the "
            f"{measured['rate'] / TERA:.2f} TFLOP/s of matrix products here"
        )
    return table


def _seconds_table(timings: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("part", "for each", "load s", "first s", "then s", "GPU GB (declared)")
    for each in timings:
        memory = _number(each["gpu_memory_gb"], 2)
        if each["declared_gb"]:
            memory += f" ({each['declared_gb']:g})"
        seconds = (
            _number(each["load"] or None, 2),
            *(_number(each[name], 4) for name in ("first", "seconds")),
        )
        table.add_row(each["part"], each["per"], *seconds, memory)
    return table


def _precision_table(effects: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("precision", "s for an image", "mean IoU with float32", "least", "same points")
    for each in effects:
        ious = (_number(each[name], 4) for name in ("mean_iou", "least_iou"))
        same = f"{each['same_points']:.0%}"
        table.add_row(each["precision"], _number(each["seconds"], 2), *ious, same)
    return table


def _points_line(points: Mapping[str, Any]) -> str:
    return (
        f"{points['points']} points on one image, decoder of the published size: "
        f"{points['together']:.2f} s together, {points['alone']:.2f} s one by one with all masks, "
        f"{points['ratio']:.2f} times as long; the same best mask for {points['same']:.0%}, logits "
        f"differ by {points['difference']:.1e} at most"
    )


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _tera(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / TERA:.3f}" if count >= 1e9 or count == 0 else f"{count / TERA:.1e}"
