"""The settings that an evaluation compares: methods, profiles, sweeps, rows of a paper's table."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipseg.benchmarks.published.paper_tables import PROFILES, PaperTable
from ipseg.config import Config, load_config
from ipseg.errors import ConfigError

if TYPE_CHECKING:
    from jobs.evaluation.request import Measured

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Setting:
    """One column of a comparison.

    Attributes:
        label: unique; "" for the only one.
        config: all of it.
        overrides: "section.key=value" that set it apart, for reports.
    """

    label: str
    config: Config
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What is compared.

    Attributes:
        request: names profiles, methods, the sweep, and the kind of support.
        overrides: "section.key=value" for all settings.
        given_mask: the protocol gives supports their ground-truth mask.
    """

    request: Measured
    overrides: Sequence[str]
    given_mask: bool

    def config(self, profile: str, method: str | None, more: Sequence[str] = ()) -> Config:
        """One configuration; what the caller has set goes before the protocol.

        Raises:
            ConfigError: it does not exist or does not fit together.
        """
        config = load_config(profile, [*self.overrides, *more], method)
        wanted = self.request.support
        kind = wanted or ("mask" if self.given_mask else None)
        if kind is None or (wanted is None and config.support.kind != "saliency"):
            return config
        return load_config(profile, [*self.overrides, *more, f"support.kind={kind}"], method)

    def settings(self) -> list[Setting]:
        """Every combination of methods, profiles and the sweep.

        Raises:
            ConfigError: as `config`, or two of them are called the same.
        """
        methods, profiles = self.request.methods, self.request.profiles
        sweep = (_choices(each) for each in self.request.sweep)
        found = []
        for method, profile, *chosen in itertools.product(methods or (None,), profiles, *sweep):
            named = [method] if method is not None and len(methods) > 1 else []
            named += [profile] if len(profiles) > 1 else []
            label = ", ".join([*(str(name) for name in named), *map(str, chosen)])
            config = self.config(str(profile), method, [str(each) for each in chosen])
            found.append(Setting(label, config, tuple(map(str, chosen))))
        labels = [setting.label for setting in found]
        if len(set(labels)) < len(labels):
            raise ConfigError("a method, a profile or a value of the sweep is named twice")
        return found

    def rows_of(self, table: PaperTable) -> list[Setting]:
        """The rows of a paper's table.

        Raises:
            ConfigError: with this profile two rows are the same.
        """
        (profile,), method = self.request.profiles, next(iter(self.request.methods), None)
        found: list[Setting] = []
        for row in table.rows:
            if not row.runnable:
                log.warning("table %d, %s: left out (%s)", table.number, row.label, row.note)
                continue
            more = [*row.settings, *(["support.kind=mask"] if row.given_mask else [])]
            setting = Setting(row.label, self.config(profile, method, more), row.settings)
            same = next((s for s in found if s.config.sha256 == setting.config.sha256), None)
            if same is not None and row.prompt_set is None:
                raise ConfigError(
                    f"with profile '{setting.config.profile}' the rows '{same.label}' and "
                    f"'{row.label}' of table {table.number} are the same; it is about the parts of "
                    f"profile '{PROFILES[0]}': add --profile {PROFILES[0]}"
                )
            found.append(setting)
        if found[0].config.profile not in PROFILES:
            log.warning(
                "the rows of table %d are settings of profile '%s'; with '%s' only the labels are "
                "the paper's",
                *(table.number, PROFILES[0], found[0].config.profile),
            )
        return found


def _choices(sweep: str) -> list[str]:
    key, sign, values = sweep.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not sign or not key.strip() or not all(listed):
        raise ConfigError(f"--sweep {sweep!r} is not of the form section.key=value,value,...")
    return [f"{key.strip()}={value}" for value in listed]
