"""The settings that an evaluation compares: methods, profiles, sweeps, rows of a paper's table."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ipseg.benchmarks.published.paper_tables import PROFILES, PaperTable
from ipseg.config import Config, load_config
from ipseg.errors import ConfigError

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
        profiles: names or YAML files, at least one.
        methods: that replace the profiles' own; empty keeps them.
        overrides: "section.key=value" for all settings.
        sweep: "section.key=v1,v2,..." each; every combination is a setting.
        support: kind of support for all; None keeps that of the protocol and the profile.
        given_mask: the protocol gives supports their ground-truth mask.
    """

    profiles: Sequence[str]
    methods: Sequence[str] = ()
    overrides: Sequence[str] = ()
    sweep: Sequence[str] = ()
    support: str | None = None
    given_mask: bool = False

    def config(self, profile: str, method: str | None, more: Sequence[str] = ()) -> Config:
        """One configuration; what the caller has set goes before the protocol.

        Raises:
            ConfigError: it does not exist or does not fit together.
        """
        config = load_config(profile, [*self.overrides, *more], method)
        kind = self.support or ("mask" if self.given_mask else None)
        if kind is None or (self.support is None and config.support.kind != "saliency"):
            return config
        return load_config(profile, [*self.overrides, *more, f"support.kind={kind}"], method)

    def settings(self) -> list[Setting]:
        """Every combination of methods, profiles and the sweep.

        Raises:
            ConfigError: as `config`, or two of them are called the same.
        """
        combinations = itertools.product(
            self.methods or (None,), self.profiles, *(_choices(each) for each in self.sweep)
        )
        found = []
        for method, profile, *chosen in combinations:
            named = [method] if method is not None and len(self.methods) > 1 else []
            named += [profile] if len(self.profiles) > 1 else []
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
        (profile,), method = self.profiles, next(iter(self.methods), None)
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
                    f"profile '{PROFILES[0]}'"
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
