"""What a detector is asked for: the name of one object, and of all of them.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code.
"""

from __future__ import annotations

_VOWELS_WITH_ES = "aiou"


def plural(name: str) -> str:
    """The word "all" and the plural, by rules on its last letters that fit most English nouns."""
    last, before = name[-1:], name[-2:-1]
    if last == "s":
        return f"all {name}"
    if last == "y":
        return f"all {name}s" if before == "e" else f"all {name[:-1]}ies"
    if last == "h" or (last and last in _VOWELS_WITH_ES):
        return f"all {name}es"
    return f"all {name}s"
