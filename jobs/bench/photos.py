"""The images that are measured with: two photos that come with scikit-image."""

from __future__ import annotations

from typing import Any

import skimage.data

from ipseg.inputs import Prompt
from ipseg.rows import Image
from jobs.demo.baselines import centre_ellipse

_data: Any = skimage.data  # comes without types


def photos() -> list[Image]:
    """Two photos, (H, W, 3) uint8: a cup of coffee and a cat."""
    return [_data.coffee(), _data.chelsea()]


def prompts(*, masks: bool) -> dict[str, Prompt]:
    """One prompt of each of two concepts; if asked for, the middle of the photo is the object."""
    images = dict(zip(("cup", "cat"), photos(), strict=True))
    if not masks:
        return {name: Prompt(image) for name, image in images.items()}
    return {
        name: Prompt(image, mask=centre_ellipse((image.shape[0], image.shape[1])))
        for name, image in images.items()
    }
