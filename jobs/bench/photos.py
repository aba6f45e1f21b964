"""The images that are measured with: two photos that come with scikit-image."""

from __future__ import annotations

from typing import Any

import skimage.data

from ipseg.api import Prompt
from ipseg.rows import Image

_data: Any = skimage.data  # comes without types


def photos() -> list[Image]:
    """Two photos, (H, W, 3) uint8: a cup of coffee and a cat."""
    return [_data.coffee(), _data.chelsea()]


def prompts() -> dict[str, Prompt]:
    """One prompt of each of two concepts."""
    return {"cup": Prompt(_data.coffee()), "cat": Prompt(_data.chelsea())}
