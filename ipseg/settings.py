"""Every setting of a configuration: key, default, type with its range, and meaning.

All of it is read off the classes that the settings belong to: their fields, the types of these, and
the section `Attributes` of their docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ipseg.components import METHODS
from ipseg.config import Config
from ipseg.parts import REGISTRIES

STAGE, KIND = "STAGE", "KIND"  # in a key: stand for a name

_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_FIELD = re.compile(r"    ([a-z_][a-z0-9_, ]*): (.*)")


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: as `--set` takes it; STAGE or KIND stand for the name of one.
        default: with this profile; None for nothing.
        type: of its values, with their range, in words.
        meaning: what it does.
    """

    key: str
    default: Any
    type: str
    meaning: str


def list_settings(config: Config) -> list[Setting]:
    """The settings of a configuration, in the order of its sections."""
    method = "how prompts are described and images searched"
    chosen = _one_of([*METHODS, "package.module:Class"])
    found = [Setting("method", config.method_name, chosen, method)]
    found += _of_class("", type(config.method), config.method)
    for name in ("support", "images", "models", "runtime"):
        found += _of_class(f"{name}.", type(getattr(config, name)), getattr(config, name))
    return found


def meanings(cls: type) -> dict[str, str]:
    """Field -> what the docstrings of a class and its bases say about it, in one line."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        section = inspect.cleandoc(each.__doc__ or "").partition("\nAttributes:\n")[2]
        names: list[str] = []
        for line in section.splitlines():
            if line and not line.startswith(" "):
                break  # the next section
            if match := _FIELD.fullmatch(line):
                names = match[1].split(", ")
                found |= dict.fromkeys(names, match[2])
            elif line.strip():
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _of_class(prefix: str, cls: type, part: object) -> Iterator[Setting]:
    """The settings of a class below a prefix, with the values of a part, or of none yet."""
    hints, about = typing.get_type_hints(cls, include_extras=True), meanings(cls)
    for field in dataclasses.fields(cls):
        if field.init:
            value = getattr(part, field.name, None) if part is not None else field.default
            meaning = re.sub(r"\bNone\b", "null", about.get(field.name, ""))  # as YAML has it
            yield from _of_field(f"{prefix}{field.name}", hints[field.name], value, meaning)


def _of_field(key: str, hint: Any, value: Any, meaning: str) -> Iterator[Setting]:  # noqa: ANN401
    """One setting, or those below it."""
    kind = _without_none(hint)
    item = typing.get_args(kind)[1] if typing.get_origin(kind) is dict else None
    if kind in REGISTRIES:
        chosen = _kinds(REGISTRIES[kind]) + ("" if kind is hint else ", or null")
        yield Setting(f"{key}.kind", _kind_of(value, REGISTRIES[kind]), chosen, meaning)
        if value is not None:
            yield from _of_class(f"{key}.", type(value), value)
    elif item in REGISTRIES:
        for name, part in value.items():
            yield from _of_class(f"{key}.{name}.", type(part), part)
        chosen = f"number; {KIND} is {_kinds(REGISTRIES[item])}"
        yield Setting(f"{key}.{KIND}.weight", None, chosen, "takes another kind in, by this weight")
    elif dataclasses.is_dataclass(item):
        yield from _of_class(f"{key}.{STAGE}.", typing.cast(type, item), None)
    elif dataclasses.is_dataclass(kind) and value is None:
        yield Setting(key, None, "mapping of its settings, {} for all defaults, or null", meaning)
    elif dataclasses.is_dataclass(kind):
        yield from _of_class(f"{key}.", type(value), value)
    else:
        yield Setting(key, value, _in_words(hint), meaning)


def _kind_of(part: object, registry: Mapping[str, str]) -> str | None:
    if part is None:
        return None
    location = f"{type(part).__module__}:{type(part).__qualname__}"
    return next((kind for kind, at in registry.items() if at == location), location)


def _kinds(registry: Mapping[str, str]) -> str:
    return _one_of([*registry, "package.module:Class"])


def _without_none(hint: Any) -> Any:  # noqa: ANN401
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    return hint


def _in_words(hint: Any) -> str:  # noqa: ANN401
    """A type with its range, as a person writes it."""
    kind = _without_none(hint)
    if kind is not hint:
        return f"{_in_words(kind)}, or null"
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        return _in_words(arguments[0]) + _range(arguments[1:])
    if typing.get_origin(hint) is typing.Literal:
        return _one_of(arguments)
    if typing.get_origin(hint) is dict:
        return f"mapping from {_in_words(arguments[0])} to {_in_words(arguments[1])}"
    return _PLAIN.get(hint) or str(hint)


def _range(metadata: tuple[Any, ...]) -> str:
    limits = [limit for each in metadata for limit in getattr(each, "metadata", [each])]
    found = {
        name: getattr(each, name) for each in limits for name in _BOUNDS if hasattr(each, name)
    }
    if found.keys() == {"ge", "le"}:
        return f", {found['ge']:g} to {found['le']:g}"
    return "".join(f", {_BOUNDS[name]} {limit:g}" for name, limit in found.items())


def _one_of(values: typing.Iterable[object]) -> str:
    return f"one of {', '.join(map(str, values))}"
