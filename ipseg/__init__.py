"""Training-free segmentation by image prompts.

import ipseg
model = ipseg.load("classical")
model.set_prompts({"cup": "cup.jpg"})
result = model.segment("table.jpg")     # .masks["cup"], .points, .scores, .overlay()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipseg.api import IPSeg, Prompt, Segmentation, load

__all__ = ["IPSeg", "Prompt", "Segmentation", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports the public names when they are asked for: `ipseg --help` needs none of them."""
    if name in __all__:
        from ipseg import api

        return getattr(api, name)
    raise AttributeError(f"module 'ipseg' has no attribute '{name}'")
