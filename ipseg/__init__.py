"""Training-free segmentation by image prompts.

import ipseg
model = ipseg.load("classical")
model.set_prompts({"cup": "cup.jpg"})
result = model.segment("table.jpg")     # .masks["cup"], .objects, .scores, .overlay()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipseg.api import Model, Prompt, Segmentation, load
    from ipseg.bank import Bank
    from ipseg.methods.method import Method
    from ipseg.objects import Object
    from ipseg.rows import Row, Step

_WHERE = {
    **dict.fromkeys(("Model", "Prompt", "Segmentation", "load"), "ipseg.api"),
    "Bank": "ipseg.bank",
    "Method": "ipseg.methods.method",
    "Object": "ipseg.objects",
    **dict.fromkeys(("Row", "Step"), "ipseg.rows"),
}
__all__ = ["Bank", "Method", "Model", "Object", "Prompt", "Row", "Segmentation", "Step", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports the public names when they are asked for: `ipseg --help` needs none of them."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'ipseg' has no attribute '{name}'")
