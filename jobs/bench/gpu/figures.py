"""The file of figures: written after every part, read again to go on, and by `ipseg plan`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipseg.config import Config
from ipseg.errors import ConfigError, OutputError
from ipseg.storage.files import write_whole
from ipseg.weights.catalogue import needs

FORMAT = 1
DONE, SKIPPED, FAILED, LEFT = "done", "skipped", "failed", "left"
"""States of a part: measured; a package is missing; an error; no time was left."""
IMAGE = "image "  # before the name of a profile, in the name of a part
MEASURED = Path(__file__).parents[3] / "docs" / "gpu.json"
"""Figures of a card that the project's authors have measured, where there are any."""


@dataclass
class Figures:
    """What was measured on one card.

    Attributes:
        machine: card, memory, versions; two files of one machine are equal here.
        date: of the last part, YYYY-MM-DD.
        parts: name -> `state`, and `figures` and `seconds` of a part that is done, or `reason`.
    """

    machine: dict[str, Any]
    date: str = ""
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def done(self, part: str) -> dict[str, Any] | None:
        """The figures of a part; None if it was not measured."""
        found = self.parts.get(part, {})
        return found["figures"] if found.get("state") == DONE else None

    def write(self, path: Path) -> None:
        """Replaces the file as a whole: a stop at any time leaves the old one or the new one.

        Raises:
            OutputError: with the system's reason.
        """
        text = json.dumps({"format": FORMAT, **vars(self)}, indent=1, allow_nan=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(str(path), f"{text}\n".encode())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read_figures(path: Path) -> Figures:
    """Reads a file of figures.

    Raises:
        OutputError: it is missing, or not one of these.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read the figures in {path}: {error}") from error
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        raise OutputError(f"{path} has no figures of `ipseg bench --gpu` in format {FORMAT}")
    try:
        return Figures(dict(found["machine"]), str(found["date"]), dict(found["parts"]))
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"the figures in {path} are damaged: {error!r}") from error


@dataclass(frozen=True)
class Pace:
    """How fast a card works off the images of a profile.

    Attributes:
        card: its name.
        date: when it was measured.
        profile: name.
        precision: of computations.
        batch: rows in one call of a step.
        seconds: that the card is busy with one image.
    """

    card: str
    date: str
    profile: str
    precision: str
    batch: int
    seconds: float

    def gpu_hours(self, images: int) -> float:
        """Hours of one card."""
        return images * self.seconds / 3600


def why_not_measured(config: Config) -> str | None:
    """Why `ipseg bench --gpu` has no part for a profile; None if it has one."""
    if not any(needs(config.resolved)):
        return "has no networks, so that a card does nothing for it"
    if config.method.row_is != "image":
        return "takes sequences, which `ipseg bench --gpu` does not measure"
    return None


def pace_in(path: Path | None, config: Config) -> Pace | None:
    """The pace of a profile in a file of figures.

    Args:
        path: of the file; None takes those that come with the project, where there are any.
        config: of the profile.

    Returns:
        None where nothing was measured and no file was named.

    Raises:
        ConfigError: the named file does not have the profile, or is of tiny networks.
        OutputError: the file is missing, or not one of these.
    """
    if path is None and not MEASURED.exists():
        return None
    figures = read_figures(path or MEASURED)
    if figures.machine["tiny"]:
        raise ConfigError(f"{path} was made with --short: tiny networks say nothing about a card")
    pace = pace_of(figures, config.profile)
    if pace is not None or path is None:
        return pace
    names = [
        name.removeprefix(IMAGE)
        for name in figures.parts
        if name.startswith(IMAGE) and figures.done(name) is not None
    ]
    has = f"{path} has those of {', '.join(names)}" if names else f"{path} has none yet"
    if (why := why_not_measured(config)) is not None:
        raise ConfigError(
            f"no figures of a card for profile {config.profile}, which {why}: leave --figures out, "
            f"or name another --profile; {has}"
        )
    raise ConfigError(
        f"no figures of profile {config.profile} ({has}): go on with the file on the same card, by "
        f"`ipseg bench --gpu --out {path}`"
    )


def pace_of(figures: Figures, profile: str) -> Pace | None:
    """The best pace that was measured with a profile; None where it was not measured."""
    found = figures.done(f"{IMAGE}{profile}")
    if found is None:
        return None
    best = min(found["batches"], key=lambda each: each["card_seconds"])
    return Pace(
        *(figures.machine["card"], figures.date, profile, found["precision"]),
        *(best["batch"], best["card_seconds"]),
    )
