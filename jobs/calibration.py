"""`ipseg calibrate` on the terminal: what scores are worth, and how sure that is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ipseg.wording import counted
from jobs.output import print_json
from jobs.pages.readable import NONE
from jobs.terminal import plain, print_problems
from pipeline.labels.calibrate import Calibrated
from pipeline.labels.calibration import FILE, OWN, Calibration


def print_calibrated(out: str, done: Calibrated, *, as_json: bool) -> None:
    """Prints a calibration and how well it does to stdout, or all of it as JSON."""
    if as_json:
        calibration = done.calibration
        print_json(
            {
                **{"out": out, "id": calibration.id, **calibration.about},
                "thresholds": dict(calibration.thresholds),
                "otherwise": calibration.otherwise,
                "measured": done.measured,
                "warnings": list(done.warnings),
            }
        )
        return
    console = Console(highlight=False)
    if done.measured is not None:
        console.print(_probabilities(done.measured))
        console.print(_presence(done.measured["presence"]))
    for line in lines(done.calibration, done.measured):
        console.print(plain(line), soft_wrap=True)
    print_problems(console, done.warnings)
    console.print(
        plain(f"calibration: {out}/{FILE}; `ipseg report {shlex.quote(out)}` draws it"),
        soft_wrap=True,
    )


def lines(calibration: Calibration, measured: Mapping[str, Any] | None) -> Iterator[str]:
    """What it was fitted on, and its thresholds."""
    labels = calibration.about["labels"]
    yield (
        f"fitted on {counted(labels['objects'], 'object')} ({labels['good']:,} good) in "
        f"{counted(labels['images'], 'image')}, {labels['source']}; {_pooled(calibration)}"
    )
    wanted = calibration.about["precision"]
    rule = "where an object is as likely good as not" if wanted is None else f"precision {wanted}"
    thresholds = [f"'{name}' {_limit(each)}" for name, each in calibration.thresholds.items()]
    others = "all concepts" if not thresholds else "other concepts"
    listed = [*thresholds, f"{others} {_limit(calibration.otherwise)}"]
    yield f"thresholds ({rule}): {', '.join(listed)}"
    if measured is not None and calibration.otherwise is not None:
        yield from _at(measured["mask"]["curve"], calibration.otherwise)


def _pooled(calibration: Calibration) -> str:
    own = len(calibration.mask.concepts)
    kind = calibration.mask.pooled.kind
    if not own:
        return f"one {kind} function for all concepts, pooled: none has {OWN} labels of its own"
    return f"functions of their own for {counted(own, 'concept')}, one {kind} for the others"


def _at(curve: Sequence[Mapping[str, Any]], threshold: float) -> Iterator[str]:
    """Precision and recall of all concepts together."""
    for at in (each for each in curve if each["threshold"] == threshold):
        yield (
            f"at {threshold:g}: precision {_with(at['precision'], at['precision_interval'])}, "
            f"recall {_with(at['recall'], at['recall_interval'])}, "
            f"{counted(at['kept'], 'object')}"
        )


def _probabilities(measured: Mapping[str, Any]) -> Table:
    table = Table("", "labels", "ECE", "of a perfect one", "Brier", "log loss")
    rows = (
        ("score, mask good", measured["mask"]["raw"]),
        ("probability, mask good", measured["mask"]["reliability"]),
        ("probability, present", measured["presence"]["reliability"]),
    )
    for name, each in rows:
        if each is not None:
            floor = f"{each['floor']:.3f}, up to {each['floor_high']:.3f}"
            numbers = (f"{each[key]:.3f}" for key in ("brier", "log_loss"))
            table.add_row(name, f"{each['labels']:,}", f"{each['ece']:.3f}", floor, *numbers)
    return table


def _presence(presence: Mapping[str, Any]) -> Table:
    table = Table("concept", "images with it", "presence AP", "by chance")
    for name, each in presence["concepts"].items():
        table.add_row(
            plain(name),
            f"{each['present']} of {each['images']}",
            _with(each["average_precision"], each["interval"]),
            f"{each['chance']:.3f}",
        )
    if presence["micro"] is not None:
        table.add_section()
        macro = f"{_number(presence['macro'])} mean, {_number(presence['micro'])} all pairs"
        table.add_row("all", "", macro, f"{presence['chance']:.3f}")
    return table


def _with(value: float | None, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return _number(value)
    return f"{_number(value)} ({interval[0]:.3f} to {interval[1]:.3f})"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _limit(threshold: float | None) -> str:
    return "none reaches it" if threshold is None else f"from {threshold:g}"
