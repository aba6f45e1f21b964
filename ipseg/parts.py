"""From plain settings to typed parts, and back: every key is checked, with the nearest match."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from ipseg.components import (
    COUNTERS,
    DETECTORS,
    FEATURES,
    LABELLERS,
    SALIENCY,
    SEGMENTERS,
    load_class,
)
from ipseg.counters import Counter
from ipseg.detectors import Detector
from ipseg.errors import ConfigError, UnknownSetting
from ipseg.features import Extractor
from ipseg.labellers import Labeller
from ipseg.saliency import Saliency
from ipseg.segmenters import Segmenter

# Fields of these types are chosen by `kind`; features are a mapping of kind to settings.
REGISTRIES: dict[Any, Mapping[str, str]] = {
    Saliency: SALIENCY,
    Segmenter: SEGMENTERS,
    Extractor: FEATURES,
    Counter: COUNTERS,
    Detector: DETECTORS,
    Labeller: LABELLERS,
}


_own: set[str] = set()  # names of modules


def build(kind: Any, where: str, value: object) -> Any:  # noqa: ANN401
    """The value of a setting, of the type that its field declares.

    Args:
        kind: the type: a dataclass, an exchangeable part, a mapping of these, or anything that
            pydantic can check.
        where: path of the setting, for messages.
        value: as YAML gives it.

    Raises:
        ConfigError: an unknown key or kind (with the nearest match), or a bad value.
    """
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union) and type(None) in arguments:
        (kind,) = (each for each in arguments if each is not type(None))
        if value is None or (kind in REGISTRIES and value == {}):  # {}: its kind was set to null
            return None
        return build(kind, where, value)
    if kind in REGISTRIES:
        options = dict(mapping(where, value))
        return build(_class_of(where, REGISTRIES[kind], options.pop("kind", None)), where, options)
    if typing.get_origin(kind) is dict and _is_nested(item := typing.get_args(kind)[1]):
        options = mapping(where, value)
        kinds = dict.fromkeys(options, item)
        if item in REGISTRIES:
            kinds = {each: _class_of(where, REGISTRIES[item], each) for each in options}
        return {each: build(kinds[each], f"{where}.{each}", options[each]) for each in options}
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(cast(type, kind), where, mapping(where, value))
    return _checked(kind, where, value)


def settings_of(part: object) -> Any:  # noqa: ANN401
    """The settings of a built part as plain data; what `setup` loads is not among them."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = [field.name for field in dataclasses.fields(part) if field.init]
        settings = {name: settings_of(getattr(part, name)) for name in fields}
        chosen = _kind_of(type(part))
        return settings if chosen is None else {"kind": chosen, **settings}
    if isinstance(part, dict):
        # The kind of an extractor is its key already.
        plain = {key: settings_of(value) for key, value in part.items()}
        for value in plain.values():
            if isinstance(value, dict):
                value.pop("kind", None)
        return plain
    return list(part) if isinstance(part, tuple) else part


def without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    """Plain settings without keys of these names, at any depth."""
    return {
        key: without(value, *names) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in names
    }


def mapping(where: str, value: object) -> dict[str, Any]:
    """A section of the settings; an empty one is no mistake.

    Raises:
        ConfigError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where} holds settings (key: value), not {value!r}")
    return cast(dict[str, Any], value)


def unknown(what: str, name: object, known: Sequence[str], also: str = "") -> str:
    """The message for a name that does not exist, with the nearest one that does.

    Args:
        what: has this name.
        name: as YAML gives it, which may be a number.
        known: names.
        also: what else may stand there.
    """
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if near:
        other = f" Or give {also}" if also else ""
        return f"unknown {what} '{name}'; did you mean '{near[0]}'?{other}"
    return f"unknown {what} '{name}'; known: {', '.join([*known, *([also] if also else [])])}"


def _is_nested(kind: Any) -> bool:  # noqa: ANN401
    return kind in REGISTRIES or dataclasses.is_dataclass(kind)


def _build_dataclass(cls: type, where: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    prefix = f"{where}." if where else ""
    for key in options:
        if key not in fields:
            known = [f"{prefix}{name}" for name in fields]
            raise UnknownSetting(unknown("setting", f"{prefix}{key}", known), f"{prefix}{key}")
    types_of = typing.get_type_hints(cls, include_extras=True)
    values = {name: build(types_of[name], prefix + name, options[name]) for name in options}
    for name, field in fields.items():
        nothing = dataclasses.MISSING
        if name not in values and field.default is nothing and field.default_factory is nothing:
            registry = REGISTRIES.get(types_of[name]) or REGISTRIES.get(
                (*typing.get_args(types_of[name]), None, None)[1]
            )
            choice = f"; choose from {', '.join(registry)}" if registry else ""
            raise ConfigError(f"'{prefix}{name}' is not set{choice}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from error


def _checked(kind: Any, where: str, value: object) -> Any:  # noqa: ANN401
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([where, *map(str, first["loc"])])
        raise ConfigError(f"{key}: {first['msg']} (got {first.get('input')!r})") from error


def _class_of(where: str, registry: Mapping[str, str], kind: object) -> type:
    if kind is None:
        raise ConfigError(f"'{where}.kind' is not set; choose from {', '.join(registry)}")
    found = chosen_class(f"{where} kind", f"{where}.kind", registry, str(kind))
    if not dataclasses.is_dataclass(found):
        raise ConfigError(f"{where}.kind: {kind} is no dataclass; its settings are its fields")
    return found


def chosen_class(what: str, where: str, registry: Mapping[str, str], name: str) -> type:
    """The class of a name in a registry, or somebody's own.

    Args:
        what: that is chosen, for messages.
        where: path of the setting, for messages.
        registry: name -> location of the class.
        name: in the registry, or `package.module:Class`.

    Raises:
        ConfigError: an unknown name (with the nearest match), or a class that cannot be imported.
    """
    if name in registry:
        return load_class(registry[name])
    if ":" in name:
        return _own_class(where, name)
    raise ConfigError(unknown(what, name, list(registry), "package.module:Class"))


def _own_class(where: str, location: str) -> type:
    try:
        found = load_class(location)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where}: cannot load {location} ({error}); it is package.module:Class, and the "
            f"module must lie beside the profile, in the current folder or on PYTHONPATH"
        ) from error
    _own.add(found.__module__)
    return found


def own_modules() -> list[types.ModuleType]:
    """Modules of somebody's own classes and what lies beside them, which workers may not have."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    folders = {Path(str(files[name])).parent for name in _own if files.get(name)}
    beside = [name for name, file in files.items() if file and Path(file).parent in folders]
    return [sys.modules[name] for name in beside]


def _kind_of(cls: type) -> str | None:
    location = f"{cls.__module__}:{cls.__qualname__}"
    known = {at: kind for registry in REGISTRIES.values() for kind, at in registry.items()}
    own = not cls.__module__.startswith("ipseg.") and hasattr(cls, "setup")
    return known.get(location, location if own else None)
