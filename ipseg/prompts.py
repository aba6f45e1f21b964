"""Prompt images in files: what each is an example of, and its mask, box or points."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain, count
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

from ipseg.errors import ConfigError, ImageError, PromptError, SourceError
from ipseg.rows import Row
from ipseg.storage.files import exists, is_folder, is_local, read_bytes
from ipseg.storage.walk import find_file, iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES, ImageLimits, decode

MASK_SUFFIX, BOX_SUFFIX, POINT_SUFFIX = ".mask.png", ".box.json", ".point.json"
_BESIDE = (MASK_SUFFIX, BOX_SUFFIX, POINT_SUFFIX)
# Names that people give to the mask of cup.jpg, beside cup.mask.png.
_LIKE_A_MASK = re.compile(
    r"(.+)[ _.-](?:mask|masks|masked|matte|seg|alpha)|(?:mask|masks)[ _.-](.+)"
)


def _looks_like_mask_of(stem: str) -> str | None:
    """Name without folder and suffix, in lower case, of the image whose mask this looks like."""
    like = _LIKE_A_MASK.fullmatch(PurePosixPath(stem).name.lower())
    return None if like is None else like[1] or like[2]


def pair(names: Iterable[str], folder: str) -> dict[str, dict[str, str]]:
    """Prompt images, and what lies beside each: its mask, box and points.

    Args:
        names: files, relative to the folder.
        folder: where they are, for errors.

    Returns:
        image -> suffix (`MASK_SUFFIX`, `BOX_SUFFIX`, `POINT_SUFFIX`) -> file; suffixes may be
        spelled in any case.

    Raises:
        PromptError: a mask, box or point has no image, or not one alone; a mask is in another
            format than PNG; or a file looks like a mask, but is not named like one.
    """
    images: dict[str, str] = {}  # by name without suffix
    beside: dict[tuple[str, str], str] = {}
    for name in sorted(names):
        suffix = next((each for each in _BESIDE if name.lower().endswith(each)), None)
        file = PurePosixPath(name)
        if suffix is not None:
            place = (name[: -len(suffix)], suffix)
            if place in beside:
                raise PromptError(f"{folder}/{beside[place]} and {name} are of the same image")
            beside[place] = name
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            stem = str(file.with_suffix(""))
            if stem.lower().endswith(".mask"):
                raise PromptError(
                    f"{folder}/{name} looks like a mask, but masks are PNG files ({MASK_SUFFIX}): "
                    f"others are lossy, or not known to be"
                )
            if stem in images:
                raise PromptError(
                    f"{folder}/{images[stem]} and {name} have the same name: if one is the mask of "
                    f"the other, name it {stem}{MASK_SUFFIX}, otherwise rename one"
                )
            images[stem] = name
    stems = {stem.lower(): stem for stem in images}
    for stem, name in images.items():
        its = _looks_like_mask_of(stem)
        of = its and stems.get(str(PurePosixPath(stem.lower()).parent / its))
        if of:
            raise PromptError(
                f"{folder}/{name} looks like the mask of {images[of]}: if it is, name it "
                f"{of}{MASK_SUFFIX}, otherwise rename it"
            )
    alone = [name for (stem, _), name in beside.items() if stem not in images]
    if alone:
        raise PromptError(f"{folder}/{min(alone)} has no prompt image beside it")
    found: dict[str, dict[str, str]] = {name: {} for name in images.values()}
    for (stem, suffix), name in beside.items():
        found[images[stem]][suffix] = name
    return found


def find_prompts(url: str, concept: str | None = None) -> list[Row]:
    """Rows (key, uri, concept, given_*) for the prompt images in a folder, of a glob, or one file.

    `DIR/cup.jpg` and `DIR/cup/1.jpg` are both prompts for the concept 'cup', and so is the file
    `cup.jpg` alone. Beside one, its object may be given by `cup.mask.png`, `cup.box.json` ([x0, y0,
    x1, y1] in pixels) or `cup.point.json` ([x, y], or a list of such points), with suffixes in any
    case. A glob, or one file, brings what lies beside its images along, but on a web server, where
    nobody can ask for it. Any fsspec URL will do.

    Args:
        url: of the folder or file, or the glob.
        concept: of all of them; None for the names that files and folders have.

    Raises:
        PromptError: nothing is there or no image, an image lies deeper than one folder (without
            `concept`), a box or point cannot be read, or as `pair`.
    """
    files = _files(url)
    one = find_file(url) is not None
    where = url.rpartition("/")[0] if one else url
    paired = pair(files, where)
    if one and not paired:  # a file that is named is an image, whatever its suffix
        paired = {name: {} for name in files}
    rows: list[Row] = []
    for name, beside in sorted(paired.items()):
        relative = PurePosixPath(name)
        if len(relative.parts) > 2 and concept is None:
            raise PromptError(f"{url}/{name} lies too deep; put it in {url}/<concept>/")
        row: Row = {"key": name, "uri": files[name]}
        if concept is None:
            row["concept"] = relative.parts[0] if len(relative.parts) == 2 else relative.stem
        else:
            row["concept"] = concept
            if not one or relative.stem != concept:  # else its key is that without a name
                row["key"] = f"{concept}/{name}"
        at = {suffix: files[file] for suffix, file in beside.items()}
        if MASK_SUFFIX in at:
            row["given_mask"] = f"{at[MASK_SUFFIX]}#object"
        if BOX_SUFFIX in at:
            row["given_box"] = parse_box(_numbers(at[BOX_SUFFIX]), at[BOX_SUFFIX])
        if POINT_SUFFIX in at:
            row["given_points"] = parse_points(_numbers(at[POINT_SUFFIX]), at[POINT_SUFFIX])
        rows.append(row)
    if not rows:
        raise PromptError(
            f"no prompt image in {url}: put one image for each concept there, "
            f"DIR/<concept>.jpg or DIR/<concept>/*.jpg"
        )
    return rows


def _files(url: str) -> dict[str, str]:
    """Name -> address of what is in a folder, or of what a glob or a file names and lies beside."""
    if not url:
        raise PromptError("the address of the prompts is empty")
    try:
        files = {each.name: each.address for each in iterate_files(url) if not each.is_folder}
    except SourceError as error:
        raise PromptError(f"prompts: {error}") from error
    if not is_folder(url) and not url.startswith(("http://", "https://")):
        for name, at in list(files.items()):
            folder, _, file = at.rpartition("/")
            above = name.removesuffix(file)
            files |= {above + each: f"{folder}/{each}" for each in _beside(folder, file)}
    return files


def _beside(folder: str, file: str) -> list[str]:
    """Files in the same folder that are, or look like, the mask, box or points of an image."""
    stem = PurePosixPath(file).stem
    if not is_local(folder):
        return [stem + each for each in _BESIDE if exists(f"{folder}/{stem}{each}")]
    found = []
    for each in sorted(path.name for path in Path(folder).iterdir()):
        name = each.lower()
        of = next((each[: -len(suffix)] for suffix in _BESIDE if name.endswith(suffix)), None)
        if of is None and PurePosixPath(name).suffix in IMAGE_SUFFIXES:
            its = PurePosixPath(each).stem
            of = stem if _looks_like_mask_of(its) == stem.lower() else its
        if of == stem and each != file:
            found.append(each)
    return found


def gather_prompts(
    url: str | None, named: Sequence[str], boxes: Sequence[str], points: Sequence[str]
) -> list[Row]:
    """The prompts that a command line names.

    Args:
        url: as for `find_prompts`, or None.
        named: "NAME=URL" each: prompts of one concept.
        boxes: as for `with_drawn`.
        points: as for `with_drawn`.

    Raises:
        PromptError: as `find_prompts`.
        ConfigError: as `with_drawn`, or a text is not NAME=URL.
    """
    rows = [] if url is None else find_prompts(url)
    for text in named:
        concept, sign, at = text.partition("=")
        if not concept or not sign:
            raise ConfigError(f"--prompt {text}: write NAME=FILE, as in cup=photos/cup.jpg")
        rows += find_prompts(at, concept)
    return with_drawn(with_own_keys(rows), boxes, points)


def with_own_keys(rows: Iterable[Row]) -> list[Row]:
    """The same prompts; files of the same name in several folders get keys of their own."""
    taken: dict[str, Row] = {}
    for row in rows:
        keys = (f"{row['concept']}/{number}/{row['key']}" for number in count(2))
        key = next(key for key in chain([row["key"]], keys) if key not in taken)
        taken[key] = {**row, "key": key}
    return list(taken.values())


def with_drawn(rows: Sequence[Row], boxes: Sequence[str], points: Sequence[str]) -> list[Row]:
    """The prompts with boxes and points from a command line.

    Args:
        rows: from `find_prompts`.
        boxes: "NAME=x0,y0,x1,y1" each; NAME is a prompt's key, or its concept if it has one prompt.
        points: "NAME=x,y" each; several of one NAME are several points on its object.

    Raises:
        ConfigError: a name is unknown or ambiguous, or the numbers are no box or point.
    """
    changed = [dict(row) for row in rows]
    try:
        for text in boxes:
            row, numbers = _named(changed, text, "--prompt-box")
            row["given_box"] = parse_box(numbers, f"--prompt-box {text}")
        for text in points:
            row, numbers = _named(changed, text, "--prompt-point")
            added = parse_points(numbers, f"--prompt-point {text}")
            row["given_points"] = [*row.get("given_points", ()), *added]
    except PromptError as error:  # of the call, not of what a file holds
        raise ConfigError(str(error)) from error
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
