"""Typed configuration: a profile, a file and `--set key=value`, checked before anything starts.

A profile is a YAML mapping; each section is a dataclass whose fields are the settings. Unknown
keys are refused with the nearest match. `Config.sha256` covers all that changes results and
nothing else: batch sizes and resources live in `runtime` and are left out of it.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from ipseg.components import FEATURES, METHODS, SALIENCY, SEGMENTERS, load_class
from ipseg.errors import ConfigError
from ipseg.features import Extractor
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.points import PointSelection
from ipseg.methods.ipseg.scoring import Scoring
from ipseg.networks.models import Models
from ipseg.saliency import Saliency
from ipseg.segmenters import Segmenter
from ipseg.segmenters.refinement import Refinement
from ipseg.vision.images import ImageLimits

DEFAULT_PROFILE = "classical"


@dataclass(frozen=True)
class Runtime:
    """How the work is cut up. Changes speed and memory, never a result.

    Attributes:
        batch_size: rows a worker handles in one call.
        block_rows: rows in one unit of scheduling; at least `batch_size`. None lets the plan
            decide: few, so that all workers have some, and more where there are very many rows.
        part_rows: rows in one output file; more are lost and redone when a run is killed.
        actors: workers in the pool of each stage that loads a model; None lets the plan decide.
        stall_seconds: a run in which nothing moves for so long is ended; longer than it takes to
            load the models, and to get machines where the cluster grows.
        gpu_card_gb: memory of one GPU, in GB; what a stage declares is turned into a share of it.
            None reads it off the cards (24 GB where they cannot be asked).
    """

    batch_size: Annotated[int, Field(ge=1)] = 4
    block_rows: Annotated[int, Field(ge=1)] | None = None
    part_rows: Annotated[int, Field(ge=1)] = 256
    actors: Annotated[int, Field(ge=1)] | None = None
    gpu_card_gb: Annotated[float, Field(gt=0)] | None = None
    stall_seconds: Annotated[float, Field(gt=0)] = 1800.0


@dataclass(frozen=True)
class Config:
    """A whole configuration, every default filled in, every part built (nothing loaded yet)."""

    profile: str
    method: str
    images: ImageLimits
    saliency: Saliency
    features: dict[str, Extractor]
    matching: Matching
    points: PointSelection
    segmenter: Segmenter
    refinement: Refinement
    scoring: Scoring
    models: Models
    runtime: Runtime
    resolved: dict[str, Any]  # the same as plain data, as it goes into the manifest

    @property
    def relevant(self) -> dict[str, Any]:
        """All settings that change results, as plain data."""
        relevant = _without(self.resolved, "profile", "runtime", "gpu_memory_gb", "batch")
        # Weights are told apart by their own hashes, not by where they lie or run.
        relevant["models"] = {"precision": self.models.precision}
        return relevant

    @property
    def sha256(self) -> str:
        """64 hex digits over all settings that change results."""
        canonical = json.dumps(self.relevant, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    """The settings without keys of these names, at any depth."""
    return {
        key: _without(value, *names) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in names
    }


def profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    folder = resources.files("ipseg") / "profiles"
    return sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_config(
    profile: str = DEFAULT_PROFILE, overrides: Sequence[str] = (), method: str | None = None
) -> Config:
    """Reads a profile and applies overrides.

    Args:
        profile: name of a shipped profile, or path of a YAML file in the same form.
        overrides: "section.key=value" each; the value is read as YAML, `null` removes a key.
        method: replaces the profile's method.

    Raises:
        ConfigError: an unknown profile, key or kind (with the nearest match), or a bad value.
    """
    name, settings = _read_profile(profile)
    for override in overrides:
        _apply(settings, override)
    if method is not None:
        settings["method"] = method
    return build_config(name, settings)


def build_config(name: str, settings: Mapping[str, Any]) -> Config:
    """Checks plain settings and builds their parts."""
    sections = {
        "images": ImageLimits,
        "matching": Matching,
        "points": PointSelection,
        "refinement": Refinement,
        "scoring": Scoring,
        "models": Models,
        "runtime": Runtime,
    }
    known = [*sections, "method", "saliency", "features", "segmenter"]
    for key in settings:
        if key not in known:
            raise ConfigError(_unknown("setting", key, known))
    method = settings.get("method", "ipseg")
    if method not in METHODS:
        raise ConfigError(_unknown("method", str(method), list(METHODS)))
    features = _mapping("features", settings.get("features"))
    if not features:
        raise ConfigError(f"no features are set; choose from {', '.join(FEATURES)}")
    parts: dict[str, Any] = {
        section: _build(section, cls, settings.get(section)) for section, cls in sections.items()
    }
    parts["saliency"] = _build_kind("saliency", SALIENCY, settings.get("saliency"))
    parts["segmenter"] = _build_kind("segmenter", SEGMENTERS, settings.get("segmenter"))
    parts["features"] = {
        kind: _build(f"features.{kind}", _class_of("features", FEATURES, kind), options)
        for kind, options in features.items()
    }
    _check_refinement(parts["refinement"], _mapping("segmenter", settings["segmenter"])["kind"])
    resolved: dict[str, Any] = {"profile": name, "method": method}
    resolved |= {section: _settings(parts[section]) for section in sections}
    for section in ("saliency", "segmenter"):
        kind = _mapping(section, settings[section])["kind"]
        resolved[section] = {"kind": kind, **_settings(parts[section])}
    resolved["features"] = {kind: _settings(part) for kind, part in parts["features"].items()}
    return Config(profile=name, method=method, resolved=resolved, **parts)


def _read_profile(profile: str) -> tuple[str, dict[str, Any]]:
    shipped = profiles()
    if profile in shipped:
        name = profile
        text = (resources.files("ipseg") / "profiles" / f"{profile}.yaml").read_text()
    elif profile.endswith((".yaml", ".yml")):
        name = Path(profile).stem
        try:
            text = Path(profile).read_text()
        except OSError as error:
            raise ConfigError(f"cannot read profile file {profile}: {error.strerror}") from error
    else:
        raise ConfigError(_unknown("profile", profile, shipped) + ", or give a .yaml file")
    try:
        settings = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"profile {profile} is not valid YAML: {error}") from error
    return name, _mapping(f"profile {profile}", settings)


def _apply(settings: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    path = key.strip().split(".")
    if not sign or not all(path):
        raise ConfigError(f"--set {override!r} is not of the form section.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error
    target = settings
    for part in path[:-1]:
        below = target.setdefault(part, {})
        if below is None:
            below = target[part] = {}
        target = _mapping(".".join(path[:-1]), below)
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value


def _check_refinement(refinement: Refinement, segmenter: str) -> None:
    if segmenter == "classical" and refinement.passes != 1:
        raise ConfigError(
            "refinement.passes=3 gives the segmenter a box, which the classical one does not take; "
            "set refinement.passes=1"
        )
    if segmenter != "classical" and refinement.prior == "similarity":
        raise ConfigError(
            f"refinement.prior=similarity is for the classical segmenter, not for {segmenter}; "
            f"set refinement.prior=none"
        )


def _settings(part: Any) -> dict[str, Any]:  # noqa: ANN401
    """The settings of a built part as plain data; what `setup` loads is not among them."""
    return {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init}


def _mapping(where: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where} holds settings (key: value), not {value!r}")
    return cast(dict[str, Any], value)


def _class_of(section: str, registry: Mapping[str, str], kind: object) -> type:
    if kind not in registry:
        raise ConfigError(_unknown(f"{section} kind", str(kind), list(registry)))
    return load_class(registry[str(kind)])


def _build_kind(section: str, registry: Mapping[str, str], value: object) -> Any:  # noqa: ANN401
    options = dict(_mapping(section, value))
    cls = _class_of(section, registry, options.pop("kind", None))
    return _build(section, cls, options)


def _build(section: str, cls: type, value: object) -> Any:  # noqa: ANN401
    options = _mapping(section, value)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    for key in options:
        if key not in known:
            raise ConfigError(
                _unknown("setting", f"{section}.{key}", [f"{section}.{k}" for k in known])
            )
    try:
        return TypeAdapter(cls).validate_python(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([section, *map(str, first["loc"])])
        raise ConfigError(f"{key}: {first['msg']} (got {first.get('input')!r})") from error


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    return f"unknown {what} '{name}'; {hint}"
