"""`ipseg train` on the terminal: its settings, and what came of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from ipseg.errors import ConfigError
from ipseg.methods.sine.training.settings import TINY, Training
from ipseg.overrides import apply_overrides
from ipseg.parts import build, mapping, unknown
from ipseg.wording import counted
from jobs.output import print_json
from jobs.pages.readable import readable_duration
from jobs.terminal import plain
from pipeline.train import Trained

_CONFIGS: dict[str, dict[str, Any]] = {"full": {}, "tiny": TINY}


def training_of(method: str, config: str, overrides: Sequence[str]) -> Training:
    """The settings that the options of the command describe.

    Raises:
        ConfigError: an unknown method, configuration or setting, or a bad value.
    """
    if method != "sine":
        raise ConfigError(unknown("method to train", method, ["sine"]))
    settings = _read(config)
    apply_overrides(settings, overrides)
    training: Training = build(Training, "", settings)
    return training


def _read(config: str) -> dict[str, Any]:
    if config in _CONFIGS:
        return copy.deepcopy(_CONFIGS[config])
    if not config.endswith((".yaml", ".yml")):
        raise ConfigError(unknown("configuration", config, list(_CONFIGS), "a .yaml file"))
    try:
        return mapping(config, yaml.safe_load(Path(config).read_text()))
    except OSError as error:
        raise ConfigError(f"cannot read {config}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{config} is not valid YAML: {error}") from error


def print_trained(done: Trained, *, as_json: bool) -> None:
    """Prints what came of a training to stdout, and what to do next; or all of it as JSON."""
    if as_json:
        print_json(asdict(done))
        return
    console = Console(highlight=False)
    steps = counted(done.steps, "step")
    if done.before == done.steps:
        line = f"{steps}, all of them finished before"
    else:
        before = f", {done.before:,} of them before" if done.before else ""
        line = (
            f"{steps}{before}, in {readable_duration(done.seconds)}, loss {done.last['loss']:.3f}"
        )
    for text in (
        line,
        f"weights: {done.weights}",
        f"next: ipseg segment --images DIR --prompts DIR --out RUN --profile {done.profile}",
    ):
        console.print(plain(text), soft_wrap=True)
