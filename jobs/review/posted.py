"""Decisions as the page posts them, checked before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from ipseg.objects import Object
from ipseg.vision.masks import RLE, rle_area
from jobs.review.index import Index
from jobs.review.offers import ORDERS
from jobs.review.rows import Rows
from jobs.review.state import State
from pipeline.labels.decisions import Decision, mask_hash

REASONS = (
    *("wrong thing", "part missing", "too much"),
    *("several in one", "cut by the border", "duplicate"),
)
MOST_AT_ONCE = 500
_LONGEST_NAME = 100
_OF_OBJECTS = ("accept", "reject", "relabel", "edit", "skip")
_ID = re.compile(r"[0-9a-f]{16,32}")
_MOST_SECONDS = 600.0
_MOST_COUNTS = 4_000_000  # characters of a repaired mask; no mask of this size is a small repair


class RefusedError(ValueError):
    """A decision that makes no sense for the run; the message says why."""


def find_object(index: Index, rows: Rows, record: Mapping[str, Any]) -> tuple[int, Object]:
    """Number of the object that a record names by key, concept, instance and mask, and itself.

    Raises:
        RefusedError: there is none.
        OSError, OutputError: the row cannot be read.
    """
    image = _image(index, record)
    for number, found in zip(index.objects_of(image), rows.objects(image), strict=True):
        named = (found.concept, found.instance, mask_hash(found.segmentation))
        if named == tuple(record.get(name) for name in ("concept", "instance", "mask")):
            return number, found
    raise RefusedError("the run has no such object, or it has another mask there by now")


def parse(record: object, state: State, rows: Rows) -> Decision:
    """A decision from JSON.

    Args:
        record: "id", of 16 to 32 hex digits, "decision" and what belongs to it, see `Decision`;
            what the run knows itself (score, run) is taken from there.
        state: what is decided already.
        rows: of the run.

    Raises:
        RefusedError: it is no decision, or about nothing that the run has.
        OSError, OutputError: the row cannot be read.
    """
    if not isinstance(record, dict) or not _ID.fullmatch(str(record.get("id"))):
        raise RefusedError("a decision is an object with an id of 16 to 32 hex digits")
    verb, index = record.get("decision"), state.index
    common: dict[str, Any] = {"id": str(record["id"])}
    if verb == "undo":
        if state.review.find(str(record.get("undoes"))) is None:
            raise RefusedError("there is no such decision to take back")
        return Decision("", "undo", undoes=str(record["undoes"]), **common)
    common |= {"run_id": index.run_id, **_circumstances(record)}
    if verb == "accept" and "rule" in record:
        return Decision("", "accept", rule=_rule(index, record["rule"]), **common)
    if verb == "reject" and record.get("mask") is None:
        image, concept = _image(index, record), record.get("concept")
        if concept not in {each.concept for each in rows.objects(image)}:
            raise RefusedError("the run has not found this concept in the image")
        return Decision(index.key(image), "reject", str(concept), **common)
    if verb not in _OF_OBJECTS:
        raise RefusedError("decisions are accept, reject, relabel, edit, skip and undo")
    _, found = find_object(index, rows, record)
    return Decision(
        key=record["key"],
        decision=verb,
        concept=found.concept,
        instance=found.instance,
        mask=record["mask"],
        score=found.score,
        **_said(verb, record, index, found),
        **common,
    )


def _said(verb: str, record: Mapping[str, Any], index: Index, found: Object) -> dict[str, Any]:
    """What a decision about an object says beside its verb."""
    if verb == "reject" and record.get("reason") is not None:
        if record["reason"] not in REASONS:
            raise RefusedError(f"reasons are {', '.join(REASONS)}")
        return {"reason": record["reason"]}
    if verb == "relabel":
        name = record.get("relabel")
        new = isinstance(name, str) and name == name.strip() and name.isprintable()
        if name not in index.concepts and not (new and 0 < len(name) <= _LONGEST_NAME):
            raise RefusedError(f"a new concept has a name of at most {_LONGEST_NAME} characters")
        return {"relabel": name}
    if verb == "edit":
        return {"segmentation": _repaired(record.get("segmentation"), found)}
    return {}


def _image(index: Index, record: Mapping[str, Any]) -> int:
    key = record.get("key")
    image = index.find(key) if isinstance(key, str) else None
    if image is None:
        raise RefusedError("the run has no image of this key")
    return image


def _circumstances(record: Mapping[str, Any]) -> dict[str, Any]:
    """How it came to the decision: seconds, order, and the lot."""
    known: dict[str, Any] = {}
    seconds, order, drawn = (record.get(name) for name in ("seconds", "order", "sampled"))
    if _number(seconds):
        known["seconds"] = round(min(max(float(seconds), 0.0), _MOST_SECONDS), 2)
    if order in (*ORDERS, "bulk"):
        known["order"] = order
    if isinstance(drawn, dict) and drawn.get("how") == "random":
        if not _number(drawn.get("p")) or not 0 < drawn["p"] <= 1:
            raise RefusedError("the probability p of a lot is above 0 and at most 1")
        known["sampled"] = {"how": "random", "p": float(drawn["p"])}
    return known


def _rule(index: Index, rule: object) -> dict[str, Any]:
    if not isinstance(rule, dict) or rule.get("concept") not in index.concepts:
        raise RefusedError("a rule is of a concept of the run")
    score = rule.get("min_score")
    if not _number(score) or not 0 <= score <= 1:
        raise RefusedError("a rule has a score between 0 and 1")
    counts = {n: int(rule[n]) for n in ("count", "looked", "wrong") if _number(rule.get(n))}
    return {"concept": rule["concept"], "min_score": float(score), **counts}


def _repaired(segmentation: object, found: Object) -> RLE:
    height, width = found.segmentation["size"]
    if not isinstance(segmentation, dict) or list(segmentation.get("size", ())) != [height, width]:
        raise RefusedError(f"a repaired mask has the size of the image, {width} x {height}")
    counts = segmentation.get("counts")
    if not isinstance(counts, str) or len(counts) > _MOST_COUNTS:
        raise RefusedError("a repaired mask is COCO run lengths")
    repaired: RLE = {"size": [height, width], "counts": counts}
    try:
        area = rle_area(repaired)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if not area:
        raise RefusedError("the repaired mask is empty; reject the object instead")
    return repaired


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
