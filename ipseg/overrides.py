"""Single settings in the place of those of a profile: `--set section.key=value`."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import yaml

from ipseg.errors import ConfigError
from ipseg.parts import mapping

# Of a part: what another kind of part has no use for, though it may have a setting of this name.
_OF_A_KIND = ("weights", "revision", "gpu_memory_gb", "batch")


def apply_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> None:
    """Puts each `section.key=value` into plain settings; the value is YAML, null removes a key.

    Another kind of part has its own weights, whatever a profile says of the kind before.

    Raises:
        ConfigError: one has another form.
    """
    for number, override in enumerate(overrides):
        _apply(settings, override, {each.partition("=")[0].strip() for each in overrides[:number]})


def _apply(settings: dict[str, Any], override: str, earlier: Set[str]) -> None:
    key, sign, text = override.partition("=")
    path = key.strip().split(".")
    if not sign or not all(path):
        raise ConfigError(f"--set {override!r} is not of the form section.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error
    if path == ["support"] and isinstance(value, str):
        path = ["support", "kind"]
    target = settings
    for number, part in enumerate(path[:-1], start=1):
        if target.get(part) is None:
            target[part] = {}
        target = mapping(".".join(path[:number]), target[part])
    if path[-1] == "kind" and value != target.get("kind"):
        for key in _OF_A_KIND:
            if ".".join([*path[:-1], key]) not in earlier:
                target.pop(key, None)
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value
