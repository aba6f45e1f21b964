"""Typed configuration: a profile, a file and `--set key=value`, checked before anything starts.

A profile is a YAML mapping. `method` names the method, `support`, `images`, `models` and `runtime`
belong to all methods, and every other section to the method, whose fields they are. Unknown keys
are refused with the nearest match. `Config.sha256` covers all that changes results and nothing
else: batch sizes and resources live in `runtime` and are left out of it.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from ipseg.components import DEFAULT_PROFILE, METHODS
from ipseg.errors import ConfigError, UnknownSetting
from ipseg.methods.method import Method
from ipseg.networks.models import Models
from ipseg.overrides import apply_overrides
from ipseg.parts import build, chosen_class, mapping, settings_of, unknown, without
from ipseg.steps.support import Support
from ipseg.vision.images import ImageLimits

log = logging.getLogger("ipseg")

_DEFAULT_METHOD = "ipseg"


@dataclass(frozen=True)
class StageSettings:
    """What one stage is to have in place of the default.

    Attributes:
        batch_size: rows a worker handles in one call.
        actors: workers in its pool, if it loads a model.
        cpus: cores that one worker keeps busy.
        gpu_memory_gb: GPU memory of one worker, in GB.
    """

    batch_size: Annotated[int, Field(ge=1)] | None = None
    actors: Annotated[int, Field(ge=1)] | None = None
    cpus: Annotated[float, Field(gt=0)] | None = None
    gpu_memory_gb: Annotated[float, Field(ge=0)] | None = None


@dataclass(frozen=True)
class Runtime:
    """How the work is cut up. Changes speed and memory, never a result.

    Attributes:
        batch_size: rows a worker handles in one call.
        block_rows: rows in one unit of scheduling; at least `batch_size`. None lets the plan
            decide: few, so that all workers have some, and more where there are very many rows.
        part_rows: rows in one output file.
        flush_seconds: a finished row is written after so long at the latest, in a smaller file
            where there are not enough: what a run loses that is killed without warning.
        actors: workers in the pool of each stage that loads a model; None lets the plan decide.
        stages: name of a stage (as `ipseg plan` lists them) -> what is different for it.
        stall_seconds: a run in which nothing moves for so long is ended; longer than it takes to
            load the models, and to get machines where the cluster grows.
        gpu_card_gb: memory of one GPU, in GB; what a stage declares is turned into a share of it.
            None reads it off the cards (24 GB where they cannot be asked).
        bank_cache_mb: memory in which a worker keeps features of prompts, in MB; those that were
            not used for longest are read again.
    """

    batch_size: Annotated[int, Field(ge=1)] = 4
    block_rows: Annotated[int, Field(ge=1)] | None = None
    part_rows: Annotated[int, Field(ge=1)] = 256
    flush_seconds: Annotated[float, Field(gt=0)] = 60.0
    actors: Annotated[int, Field(ge=1)] | None = None
    stages: dict[str, StageSettings] = field(default_factory=dict)
    gpu_card_gb: Annotated[float, Field(gt=0)] | None = None
    stall_seconds: Annotated[float, Field(gt=0)] = 1800.0
    bank_cache_mb: Annotated[float, Field(gt=0)] = 512.0

    def batch_of(self, stage: str) -> int:
        """Rows in one call of a stage."""
        settings = self.stages.get(stage)
        return self.batch_size if settings is None else settings.batch_size or self.batch_size

    @property
    def pools_by(self) -> str | None:
        """The first setting that is there and says how workers are pooled; None if none is."""
        names = ("actors", "stages", "block_rows")
        return next((f"runtime.{name}" for name in names if getattr(self, name)), None)


# Sections that belong to all methods.
_SECTIONS = {"support": Support, "images": ImageLimits, "models": Models, "runtime": Runtime}


@dataclass(frozen=True)
class Config:
    """A whole configuration, every default filled in, every part built (nothing loaded yet).

    Attributes:
        profile: name of the profile it came from.
        method_name: as the profile has it.
        method: with its settings.
        support: how the object of a prompt is found.
        images: sizes of images that are accepted.
        models: where weights come from and how they run.
        runtime: sizes of batches and pools.
        resolved: the same as plain data, as it goes into the manifest.
    """

    profile: str
    method_name: str
    method: Method
    support: Support
    images: ImageLimits
    models: Models
    runtime: Runtime
    resolved: dict[str, Any]

    @property
    def relevant(self) -> dict[str, Any]:
        """All settings that change results, as plain data."""
        relevant = without(self.resolved, "profile", "runtime", "gpu_memory_gb", "batch")
        # Weights are identified by their own hashes, not by where they lie or run.
        relevant["models"] = self.models.arithmetic
        return relevant

    @property
    def sha256(self) -> str:
        """64 hex digits over all settings that change results."""
        return config_sha256(self.relevant)


def config_sha256(identity: Mapping[str, Any]) -> str:
    """64 hex digits over all that changes results."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    folder = resources.files("ipseg") / "profiles"
    return sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(".yaml"))


def profile_of(method: str | None) -> str:
    """The shipped profile with a method's name, or the default where there is none."""
    return method if method in METHODS and method in profiles() else DEFAULT_PROFILE


def load_config(
    profile: str | None = DEFAULT_PROFILE,
    overrides: Sequence[str] = (),
    method: str | None = None,
    *,
    labelling: bool = False,
    usual: Sequence[str] = (),
) -> Config:
    """Reads a profile and applies overrides.

    Args:
        profile: name of a shipped profile, or path of a YAML file in the same form; None for that
            of the method (`profile_of`).
        overrides: "section.key=value" each; the value is read as YAML, `null` removes a key.
        method: replaces the profile's method; sections that it has no use for are left out.
        labelling: start from what the method labels collections with, `Method.labels_with`, where
            the profile says nothing else; otherwise as in benchmarks.
        usual: more of these.

    Raises:
        ConfigError: an unknown profile, key or kind (with the nearest match), or a bad value.
    """
    name, settings = _read_profile(profile or profile_of(method))
    if method is not None and method != settings.get("method", _DEFAULT_METHOD):
        settings["method"] = method
        settings = _for_method(settings)
    method_class = _method_class(settings.get("method", _DEFAULT_METHOD))
    unsaid = _unsaid(settings, [*(method_class.labels_with if labelling else ()), *usual])
    apply_overrides(settings, [*unsaid, *overrides])
    return build_config(name, settings)


def _unsaid(settings: Mapping[str, Any], usual: Sequence[str]) -> Iterator[str]:
    """Those of the usual settings of which a profile says nothing."""
    for each in usual:
        *sections, key = each.partition("=")[0].split(".")
        at: Any = settings
        for section in sections:
            at = (at.get(section) if isinstance(at, Mapping) else None) or {}
        if key not in at:
            yield each


def config_again(resolved: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """A configuration from `Config.resolved`, as a manifest keeps it, with overrides.

    Raises:
        ConfigError: as `load_config`.
    """
    settings = copy.deepcopy(dict(resolved))
    name = settings.pop("profile")
    apply_overrides(settings, overrides)
    return build_config(name, settings)


def build_config(name: str, settings: Mapping[str, Any]) -> Config:
    """Checks plain settings and builds their parts."""
    method_name = str(settings.get("method", _DEFAULT_METHOD))
    method_class = _method_class(method_name)
    known = _sections_of(method_class)
    if strange := [key for key in settings if key not in known]:
        raise UnknownSetting(unknown("setting", strange[0], known), strange[0])
    own = {key: value for key, value in settings.items() if key not in ("method", *_SECTIONS)}
    parts = {name: build(cls, name, settings.get(name)) for name, cls in _SECTIONS.items()}
    method: Method = build(method_class, "", own)
    resolved = {"profile": name, "method": method_name}
    resolved |= {section: settings_of(part) for section, part in parts.items()}
    resolved |= settings_of(method)
    return Config(name, method_name, method, **parts, resolved=resolved)


def _method_class(name: str) -> type[Method]:
    found = chosen_class("method", "method", METHODS, name)
    # A class without the decorator inherits the fields of `Method`, so `is_dataclass` says yes.
    if not issubclass(found, Method) or "__dataclass_fields__" not in vars(found):
        raise ConfigError(f"method {name} is no dataclass derived from ipseg.Method")
    if missing := sorted(found.__abstractmethods__):
        raise ConfigError(f"method {name} does not define {', '.join(missing)}")
    return found


def _sections_of(method: type[Method]) -> list[str]:
    fields = [each.name for each in dataclasses.fields(method)]
    if taken := [name for name in fields if name in _SECTIONS or name == "method"]:
        raise ConfigError(
            f"{method.__name__}.{taken[0]} has the name of a section that belongs to all methods; "
            f"give the field another name"
        )
    return ["method", *_SECTIONS, *fields]


def _for_method(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without the sections that belong to another method."""
    known = _sections_of(_method_class(settings["method"]))
    if left := [key for key in settings if key not in known]:
        log.info("method %s has no use for %s", settings["method"], ", ".join(left))
    return {key: value for key, value in settings.items() if key in known}


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
        for folder in (str(Path(profile).resolve().parent), str(Path.cwd())):
            if folder not in sys.path:  # where a method of one's own may lie; workers take it over
                sys.path.append(folder)
    else:
        raise ConfigError(unknown("profile", profile, shipped, "a .yaml file"))
    try:
        settings = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"profile {profile} is not valid YAML: {error}") from error
    settings = mapping(f"profile {profile}", settings)
    if isinstance(support := settings.get("support"), str):  # short for its kind
        settings["support"] = {"kind": support}
    return name, settings
