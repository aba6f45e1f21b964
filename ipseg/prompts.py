"""Prompt images on disk: `DIR/<concept>.jpg` or `DIR/<concept>/*`, with optional masks beside."""

from __future__ import annotations

from pathlib import PurePosixPath

from ipseg.errors import ImageError, PromptError
from ipseg.images import IMAGE_SUFFIXES, ImageLimits, decode
from ipseg.rows import Row
from ipseg.storage import filesystem

MASK_SUFFIX = ".mask.png"


def find_prompts(url: str) -> list[Row]:
    """Rows (key, uri, concept, image_bytes, mask_bytes) for every prompt image below a folder.

    `DIR/cup.jpg` and `DIR/cup/1.jpg` are both prompts for the concept 'cup'; `cup.mask.png` or
    `cup/1.mask.png` beside one is its mask and replaces saliency. Any fsspec URL will do.

    Raises:
        PromptError: the folder is missing or holds no picture, a picture lies deeper than one
            folder, or a mask has no picture.
    """
    fs, root = filesystem(url)
    if not fs.exists(root):
        raise PromptError(f"prompt folder {url} does not exist")
    if not fs.isdir(root):
        raise PromptError(
            f"{url} is a file; prompts are a folder: DIR/<concept>.jpg or DIR/<concept>/*"
        )
    root = root.rstrip("/")
    files = {path[len(root) :].lstrip("/"): path for path in sorted(fs.find(root))}
    masks = {name: path for name, path in files.items() if name.endswith(MASK_SUFFIX)}
    rows: list[Row] = []
    for name, path in files.items():
        relative = PurePosixPath(name)
        if (
            name.endswith(MASK_SUFFIX)
            or relative.suffix.lower() not in IMAGE_SUFFIXES
            or any(part.startswith(".") for part in relative.parts)
        ):
            continue
        if len(relative.parts) > 2:
            raise PromptError(f"{url}/{name} lies too deep; put it in {url}/<concept>/")
        mask = masks.pop(str(relative.with_suffix(MASK_SUFFIX)), None)
        rows.append(
            {
                "key": name,
                "uri": fs.unstrip_protocol(path) if "://" in url else path,
                "concept": relative.parts[0] if len(relative.parts) == 2 else relative.stem,
                "image_bytes": fs.cat_file(path),
                "mask_bytes": None if mask is None else fs.cat_file(mask),
            }
        )
    if masks:
        raise PromptError(f"mask {url}/{min(masks)} has no prompt image beside it")
    if not rows:
        raise PromptError(
            f"no prompt image in {url}: put one picture for each concept there, "
            f"DIR/<concept>.jpg or DIR/<concept>/*.jpg"
        )
    return rows


def check_prompts(rows: list[Row], limits: ImageLimits) -> None:
    """Decodes every prompt once, so that a bad one is reported before any worker starts.

    Raises:
        PromptError: names the first prompt that is not a usable picture, and why.
    """
    for row in rows:
        try:
            decode(row["image_bytes"], limits)
        except ImageError as error:
            raise PromptError(f"prompt {row['uri']} cannot be used: {error}") from error
