"""Prompt images on disk: `DIR/<concept>.jpg` or `DIR/<concept>/*`, with masks, boxes or points."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from ipseg.errors import ImageError, PromptError
from ipseg.rows import Row
from ipseg.storage.files import exists, is_folder, read_bytes
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES, ImageLimits, decode

MASK_SUFFIX, BOX_SUFFIX, POINT_SUFFIX = ".mask.png", ".box.json", ".point.json"
_BESIDE = (MASK_SUFFIX, BOX_SUFFIX, POINT_SUFFIX)


def find_prompts(url: str) -> list[Row]:
    """Rows (key, uri, concept, given_*) for every prompt image below a folder.

    `DIR/cup.jpg` and `DIR/cup/1.jpg` are both prompts for the concept 'cup'. Beside one, its object
    may be given by `cup.mask.png`, `cup.box.json` ([x0, y0, x1, y1] in pixels) or `cup.point.json`
    ([x, y], or a list of such points). Any fsspec URL will do.

    Raises:
        PromptError: the folder is missing or holds no image, an image lies deeper than one folder,
            or a mask, box or point has no image or cannot be read.
    """
    if not exists(url):
        raise PromptError(f"prompt folder {url} does not exist")
    if not is_folder(url):
        raise PromptError(
            f"{url} is a file; prompts are a folder: DIR/<concept>.jpg or DIR/<concept>/*"
        )
    files = dict(
        sorted((each.name, each.address) for each in iterate_files(url) if not each.is_folder)
    )
    beside = {name: path for name, path in files.items() if name.endswith(_BESIDE)}
    rows: list[Row] = []
    for name, path in files.items():
        relative = PurePosixPath(name)
        if name.endswith(_BESIDE) or relative.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if len(relative.parts) > 2:
            raise PromptError(f"{url}/{name} lies too deep; put it in {url}/<concept>/")
        own = {suffix: beside.pop(str(relative.with_suffix(suffix)), None) for suffix in _BESIDE}
        row: Row = {
            "key": name,
            "uri": path,
            "concept": relative.parts[0] if len(relative.parts) == 2 else relative.stem,
        }
        if mask := own[MASK_SUFFIX]:
            row["given_mask"] = f"{mask}#object"
        if box := own[BOX_SUFFIX]:
            row["given_box"] = parse_box(_numbers(box), box)
        if points := own[POINT_SUFFIX]:
            row["given_points"] = parse_points(_numbers(points), points)
        rows.append(row)
    if beside:
        raise PromptError(f"{url}/{min(beside)} has no prompt image beside it")
    if not rows:
        raise PromptError(
            f"no prompt image in {url}: put one image for each concept there, "
            f"DIR/<concept>.jpg or DIR/<concept>/*.jpg"
        )
    return rows


def with_drawn(rows: Sequence[Row], boxes: Sequence[str], points: Sequence[str]) -> list[Row]:
    """The prompts with boxes and points from a command line.

    Args:
        rows: from `find_prompts`.
        boxes: "NAME=x0,y0,x1,y1" each; NAME is a prompt's key, or its concept if it has one prompt.
        points: "NAME=x,y" each; several of one NAME are several points on its object.

    Raises:
        PromptError: a name is unknown or ambiguous, or the numbers are no box or point.
    """
    changed = [dict(row) for row in rows]
    for text in boxes:
        row, numbers = _named(changed, text, "--prompt-box")
        row["given_box"] = parse_box(numbers, f"--prompt-box {text}")
    for text in points:
        row, numbers = _named(changed, text, "--prompt-point")
        added = parse_points(numbers, f"--prompt-point {text}")
        row["given_points"] = [*row.get("given_points", ()), *added]
    return changed


def _named(rows: list[Row], text: str, option: str) -> tuple[Row, list[float]]:
    name, sign, numbers = text.rpartition("=")
    found = [row for row in rows if row["key"] == name]
    found = found or [row for row in rows if row["concept"] == name]
    if not sign or len(found) != 1:
        known = ", ".join(row["key"] for row in rows[:5])
        raise PromptError(f"{option} {text}: '{name}' must name one prompt, such as {known}")
    try:
        return found[0], [float(number) for number in numbers.split(",")]
    except ValueError as error:
        raise PromptError(f"{option} {text}: '{numbers}' are no numbers") from error


def parse_box(value: Any, where: str) -> list[float]:  # noqa: ANN401  (anything JSON can hold)
    """[x0, y0, x1, y1] in pixels, checked.

    Raises:
        PromptError: it is no box; names `where` it was found.
    """
    if isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)):
        box = [float(number) for number in value]
        if box[0] < box[2] and box[1] < box[3] and min(box) >= 0:
            return box
    raise PromptError(f"{where}: a box is [x0, y0, x1, y1] in pixels with x0 < x1 and y0 < y1")


def parse_points(value: Any, where: str) -> list[dict[str, float]]:  # noqa: ANN401
    """Points {x, y, label} on the object from [x, y] or a list of such, in pixels.

    Raises:
        PromptError: they are none; names `where` they were found.
    """
    listed = [value] if isinstance(value, list) and value and _is_number(value[0]) else value
    if isinstance(listed, list) and listed:
        pairs = [p for p in listed if isinstance(p, list) and len(p) == 2]
        if len(pairs) == len(listed) and all(_is_number(n) and n >= 0 for p in pairs for n in p):
            return [{"x": float(x), "y": float(y), "label": 1} for x, y in pairs]
    raise PromptError(f"{where}: a point is [x, y] in pixels, several are [[x, y], ...]")


def _is_number(value: object) -> bool:
    # JSON as Python reads it has Infinity and NaN, too.
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _numbers(path: str) -> Any:  # noqa: ANN401  (anything JSON can hold)
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise PromptError(f"{path} is not valid JSON: {error}") from error


def check_prompts(rows: Sequence[Row], limits: ImageLimits) -> None:
    """Decodes every prompt once, so that a bad one is reported before any worker starts.

    Raises:
        PromptError: names the first prompt that is not a usable image, and why.
    """
    for row in rows:
        try:
            decode(read_bytes(row["uri"]), limits)
        except (ImageError, OSError) as error:
            raise PromptError(f"prompt {row['uri']} cannot be used: {error}") from error
