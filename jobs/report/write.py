"""Puts the report of a finished run together and writes OUT/report.html."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import fsspec
import jinja2
import pyarrow.parquet as pq
import yaml

from ipseg.errors import OutputError
from ipseg.storage.files import write_whole
from ipseg.vision.images import ImageLimits
from ipseg.vision.overlay import Colour, colour_of
from jobs.report.charts import histogram, mirrored, spark
from jobs.report.survey import BINS, Place, Survey, read_place, survey
from jobs.report.tiles import Tile, css, prompt_pictures, row_tile

REPORT = "report.html"
_PROMPTS_SHOWN = 4  # of one concept
_PROMPT_COLUMNS = ["concept", "prompts"]


@dataclass(frozen=True)
class Gallery:
    """Some rows under one heading."""

    title: str
    note: str
    tiles: list[Tile]


def write_report(out: str) -> str:
    """Writes the report of a finished run; the run itself is left as it is.

    Args:
        out: run folder, path or fsspec URL.

    Returns:
        Address of the report.

    Raises:
        OutputError: there is no finished run at this place.
    """
    out = out.rstrip("/")
    manifest, metrics = _json(out, "manifest.json"), _json(out, "metrics.json")
    found = survey(out)
    names = list(manifest["concepts"])
    colours = {name: colour_of(index) for index, name in enumerate(names)}
    limits = ImageLimits(**manifest["config"].get("images", {}))
    address = f"{out}/{REPORT}"
    page = _template().render(
        manifest=manifest,
        metrics=metrics,
        rows=metrics["rows"],
        total=sum(metrics["rows"].values()),
        started=_moment(manifest["runs"][0]["started"]),
        finished=_moment(manifest["runs"][-1]["finished"]),
        concepts=_concepts(names, colours, metrics, found),
        prompts=_prompts(out, colours),
        galleries=_galleries(
            found, lambda place: row_tile(read_place(out, place), colours, limits)
        ),
        has_truth=found.has_truth,
        causes=found.causes.most_common(),
        failures=found.failures,
        scores=mirrored(found.present_scores.values(), found.absent_scores.values()),
        ious=histogram(found.ious),
        stages=_stages(metrics["stages"]),
        settings=yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
    )
    write_whole(address, page.encode("utf-8", "replace"))
    return address


def _json(out: str, name: str) -> dict[str, Any]:
    try:
        with fsspec.open(f"{out}/{name}", "rb") as file:
            content: dict[str, Any] = json.load(file)
    except FileNotFoundError as error:
        message = f"{out} has no {name}: the report is made from a finished run"
        raise OutputError(message) from error
    return content


def _concepts(
    names: Sequence[str], colours: dict[str, Colour], metrics: dict[str, Any], found: Survey
) -> list[dict[str, Any]]:
    """One line of the results table for each concept."""
    measured = (metrics.get("quality") or {}).get("concepts", {})
    lines = []
    for name in names:
        present = found.present_scores.get(name)
        absent = found.absent_scores.get(name)
        lines.append(
            {
                "name": name,
                "colour": css(colours[name]),
                "quality": measured.get(name),
                "found": 0 if present is None else int(present.sum()),
                "sure": 0 if present is None else int(present[BINS // 2 :].sum()),
                "spark": spark(present, absent),
            }
        )
    return lines


def _prompts(out: str, colours: dict[str, Colour]) -> list[dict[str, Any]]:
    with fsspec.open(f"{out}/prompt_bank.parquet", "rb") as file:
        bank = pq.read_table(io.BytesIO(file.read()), columns=_PROMPT_COLUMNS).to_pylist()
    concepts = []
    for concept in bank:
        colour = colours[concept["concept"]]
        shown = []
        for prompt in concept["prompts"][:_PROMPTS_SHOWN]:
            photo, isolated = prompt_pictures(prompt, colour)
            shown.append({**prompt, "photo": photo, "isolated": isolated})
        concepts.append(
            {
                "name": concept["concept"],
                "colour": css(colour),
                "prompts": shown,
                "more": len(concept["prompts"]) - len(shown),
            }
        )
    return concepts


def _galleries(found: Survey, make_tile: Callable[[Place], Tile]) -> list[Gallery]:
    """The rows to look at, each read and drawn once however often it is shown."""
    tile = cache(make_tile)

    def gallery(title: str, note: str, places: list[Place]) -> Gallery:
        return Gallery(title, note, [tile(place) for place in places])

    if found.has_truth:
        galleries = [
            gallery("Best", "Highest IoU of each concept, in turn.", found.best()),
            gallery("Worst", "Lowest IoU of a concept in the image.", found.worst()),
            gallery("Several concepts", "Drawn by lot.", found.several()),
            gallery(
                "None present",
                "Nothing here should score. The highest scores first, then the lowest.",
                found.none_present(),
            ),
        ]
    else:
        galleries = [
            gallery("Highest scores", "Of each concept, in turn.", found.best()),
            gallery("Lowest scores", "The best score in the image is low.", found.worst()),
            gallery("Several concepts", "Scores near each other; drawn by lot.", found.several()),
        ]
    galleries.append(gallery("Nothing found", "Drawn by lot.", found.nothing_found()))
    return [each for each in galleries if each.tiles]


def _stages(stages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    longest = max((stage["seconds"] for stage in stages), default=0.0)
    return [
        {
            **stage,
            "rate": stage["rows"] / stage["seconds"] if stage["seconds"] else None,
            "share": stage["seconds"] / longest if longest else 0.0,
        }
        for stage in stages
    ]


def _moment(text: str | None) -> str:
    if not text:
        return ""
    return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M:%S %Z}".strip()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        {"bytes": readable_bytes, "duration": readable_duration, "count": readable_count}
    )
    text = (files("jobs.report") / "report.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def readable_bytes(value: float) -> str:
    """Bytes with a unit, powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def readable_duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def readable_count(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u2009")
