"""The calibration of a run for its report: diagrams as places for inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.labels.calibration import Calibration

_CURVES = ("precision", "recall")
_EVENTS = (
    ("A mask is good", "mask", "of masks with an IoU of at least 0.5"),
    ("A concept is present", "presence", "of images that have the concept"),
)


def calibration_of(calibration: Calibration | None) -> dict[str, Any] | None:
    """What the page says of a calibration; None if there is none.

    Returns:
        `about` and `id` of the calibration; `pooled`, whether all concepts share a function;
        `diagrams`, one for each event: `title`, `says`, the `reliability` and its `dots` (x, y, low
        and high in percent from the upper left, `title`); and `curve`, the `precision` and `recall`
        against the threshold, each as `line` and `band`, points for SVG in percent.
    """
    if calibration is None:
        return None
    measured = calibration.measured
    diagrams = [
        {"title": title, "says": says, "reliability": found, "dots": _dots(found["points"])}
        for title, event, says in _EVENTS
        if (found := measured[event]["reliability"]) is not None
    ]
    return {
        "about": calibration.about,
        "id": calibration.id,
        "pooled": not calibration.mask.concepts,
        "threshold": calibration.otherwise,
        "diagrams": diagrams,
        "curve": {
            name: _curve(measured["mask"]["curve"], name) for name in ("precision", "recall")
        },
    }


def _dots(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "x": 100 * each["predicted"],
            "y": 100 - 100 * each["observed"],
            "low": 100 - 100 * each["low"],
            "high": 100 - 100 * each["high"],
            "title": f"{each['observed']:.2f} ({each['low']:.2f} to {each['high']:.2f}) of "
            f"{each['count']} at {each['predicted']:.2f}",
        }
        for each in points
    ]


def _curve(points: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    known = [each for each in points if each[name] is not None]
    ends = [(each["threshold"], each[f"{name}_interval"]) for each in known]
    ends = [(x, pair) for x, pair in ends if pair is not None]
    band = [(x, pair[0]) for x, pair in ends] + [(x, pair[1]) for x, pair in reversed(ends)]
    return {"line": _path((each["threshold"], each[name]) for each in known), "band": _path(band)}


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in points)
