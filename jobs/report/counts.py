"""Counts for the report: of each concept, and of each image against the sum of its density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ipseg.crowd import confirmed
from ipseg.vision.overlay import Colour
from jobs.pages.galleries import chance
from jobs.pages.views import css
from jobs.report.survey import Top
from pipeline.runfolder.parts import column_names, part_files, read_placed

_DOTS = 400  # images and concepts that the diagram has room for
_ROOM = 10  # lines of the table
_UNREAD = tuple(
    f"crowds.list.element.{name}"
    for name in ("named", "gate", "exemplars", "points", "around", "shape", "density")
)

_OF_OBJECTS = tuple(
    f"objects.list.element.{name}" for name in ("points", "segmentation", "evidence", "bbox")
)


@dataclass
class _OfConcept:
    images: int = 0
    count: float = 0.0
    total: float = 0.0
    most: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)


def counts_of(out: str, colours: Mapping[str, Colour]) -> dict[str, Any] | None:
    """What the page says of counts; None for a run that did not count.

    Args:
        out: run folder.
        colours: concept -> its colour, of all that were looked for.

    Returns:
        `concepts`: for each its sums and what was noted how often; `dots` of a sample drawn by lot,
        in percent from the upper left; `largest`, the value at the end of both axes; and `apart`,
        the lines in which count and density sum differ most.
    """
    if "crowds" not in column_names(part_files(out)[0]):
        return None
    concepts = {name: _OfConcept() for name in colours}
    sample, apart = Top(_DOTS), Top(_ROOM)
    for place, row in read_placed(out, ["crowds", "objects"], without=(*_UNREAD, *_OF_OBJECTS)):
        for crowd in row["crowds"] or ():
            name, total = crowd["concept"], crowd["total"]
            if name not in concepts:
                continue
            found = sum(each["concept"] == name for each in row["objects"])
            count = confirmed(crowd["count"], found)
            of = concepts[name]
            of.images, of.count, of.total = of.images + 1, of.count + count, of.total + total
            of.most = max(of.most, count)
            for note in crowd["notes"]:
                of.notes[note] = of.notes.get(note, 0) + 1
            line = {"key": place.key, "concept": name, "colour": css(colours[name])}
            line |= {"count": count, "total": total, "found": found}
            sample.add(chance(f"{place.key} {name}"), place.key, line)
            apart.add(abs(count - total), place.key, line)
    lines = sample.items()
    largest = max([1.0, *(max(each["count"], each["total"]) for each in lines)])
    return {
        "concepts": [
            {"name": name, "colour": css(colours[name]), **vars(of)}
            for name, of in concepts.items()
        ],
        "largest": largest,
        "dots": [
            {
                **each,
                "x": 100 * max(0.0, each["total"]) / largest,
                "y": 100 - 100 * max(0.0, each["count"]) / largest,
            }
            for each in lines
        ],
        "apart": apart.items(),
    }
