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
    from ipseg.api import Model, load
    from ipseg.bank import Bank
    from ipseg.inputs import Prompt
    from ipseg.methods.method import Method
    from ipseg.objects import Object
    from ipseg.rows import Row, Step
    from ipseg.segmentation import Segmentation, to_coco

    __version__: str

_WHERE = {
    **dict.fromkeys(("Model", "load"), "ipseg.api"),
    "Bank": "ipseg.bank",
    "Method": "ipseg.methods.method",
    "Object": "ipseg.objects",
    "Prompt": "ipseg.inputs",
    **dict.fromkeys(("Row", "Step"), "ipseg.rows"),
    **dict.fromkeys(("Segmentation", "to_coco"), "ipseg.segmentation"),
}
__all__ = [
    "Bank",
    "Method",
    "Model",
    "Object",
    "Prompt",
    "Row",
    "Segmentation",
    "Step",
    "__version__",
    "load",
    "to_coco",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Imports the public names when they are asked for: `ipseg --help` needs none of them."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("ipseg")
    raise AttributeError(f"module 'ipseg' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, imported or not, and what Python itself keeps here."""
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
