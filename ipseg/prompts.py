"""Prompt images on disk: `DIR/<concept>.jpg` or `DIR/<concept>/*`, with optional masks beside."""

from __future__ import annotations

from pathlib import PurePosixPath

from ipseg.errors import ImageError, PromptError
from ipseg.rows import Row
from ipseg.storage.files import exists, is_folder, read_bytes
from ipseg.storage.walk import iterate_files
from ipseg.vision.images import IMAGE_SUFFIXES, ImageLimits, decode

MASK_SUFFIX = ".mask.png"


def find_prompts(url: str) -> list[Row]:
    """Rows (key, uri, concept, image_bytes, mask_bytes) for every prompt image below a folder.

    `DIR/cup.jpg` and `DIR/cup/1.jpg` are both prompts for the concept 'cup'; `cup.mask.png` or
    `cup/1.mask.png` beside one is its mask and replaces saliency. Any fsspec URL will do.

    Raises:
        PromptError: the folder is missing or holds no picture, a picture lies deeper than one
            folder, or a mask has no picture.
    """
    if not exists(url):
        raise PromptError(f"prompt folder {url} does not exist")
    if not is_folder(url):
        raise PromptError(
            f"{url} is a file; prompts are a folder: DIR/<concept>.jpg or DIR/<concept>/*"
        )
    files = dict(sorted((name, at) for name, at, folder in iterate_files(url) if not folder))
    masks = {name: path for name, path in files.items() if name.endswith(MASK_SUFFIX)}
    rows: list[Row] = []
    for name, path in files.items():
        relative = PurePosixPath(name)
        if name.endswith(MASK_SUFFIX) or relative.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if len(relative.parts) > 2:
            raise PromptError(f"{url}/{name} lies too deep; put it in {url}/<concept>/")
        mask = masks.pop(str(relative.with_suffix(MASK_SUFFIX)), None)
        rows.append(
            {
                "key": name,
                "uri": path,
                "concept": relative.parts[0] if len(relative.parts) == 2 else relative.stem,
                "image_bytes": read_bytes(path),
                "mask_bytes": None if mask is None else read_bytes(mask),
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
