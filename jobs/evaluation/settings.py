"""The settings that an evaluation compares: methods, profiles, sweeps, rows of a paper's table."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipseg.benchmarks.published.paper_tables import PROFILES, PaperTable
from ipseg.config import Config, load_config, profiles
from ipseg.errors import ConfigError

if TYPE_CHECKING:
    from jobs.evaluation.request import Measured

log = logging.getLogger("ipseg")

SALIENCY = "cornet"  # of the paper: TSDN
_OF_ALL_METHODS = ("models", "images", "runtime")


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
        request: names profiles, methods, the sweep, and kinds of support.
        overrides: "section.key=value" for all settings.
        given_mask: the protocol gives supports their ground-truth mask.
    """

    request: Measured
    overrides: Sequence[str]
    given_mask: bool

    def config(
        self,
        profile: str,
        method: str | None,
        more: Sequence[str] = (),
        support: str | None = None,
    ) -> Config:
        """One configuration; what the caller has set goes before the protocol.

        Where saliency is wanted of a profile that has none, it is the paper's (`SALIENCY`), as in
        its row Matcher-Z.

        Raises:
            ConfigError: it does not exist or does not fit together.
        """
        config = load_config(profile, [*self.overrides, *more], method)
        kind = support or ("mask" if self.given_mask else None)
        if kind is None or (support is None and config.support.kind != "saliency"):
            return config
        found = [*self.overrides, *more, f"support.kind={kind}"]
        if kind == "saliency" and config.support.saliency is None:
            log.info("%s finds the object of an example by saliency of %s", profile, SALIENCY)
            found.append(f"support.saliency.kind={SALIENCY}")
        return load_config(profile, found, method)

    def settings(self) -> list[Setting]:
        """Every combination of methods, profiles, kinds of support and the sweep.

        Raises:
            ConfigError: as `config`, or two of them are called the same.
        """
        methods, profiles = self.request.methods, self.request.profiles
        supports, sweep = self.request.support, map(_choices, self.request.sweep)
        found = []
        choices = (methods or (None,), profiles, supports or (None,), *sweep)
        for method, profile, support, *swept in itertools.product(*choices):
            chosen = [*([f"support={support}"] if len(supports) > 1 else []), *map(str, swept)]
            named = [method] if method is not None and len(methods) > 1 else []
            named += [profile] if len(profiles) > 1 else []
            label = ", ".join([*map(str, named), *chosen])
            config = self.config(str(profile), method, list(map(str, swept)), support)
            found.append(Setting(label, config, tuple(map(str, swept))))
        labels = [setting.label for setting in found]
        if len(set(labels)) < len(labels):
            raise ConfigError(
                "a method, a profile, a support or a value of the sweep is named twice"
            )
        return found

    def rows_of(self, table: PaperTable) -> list[Setting]:
        """The rows of a paper's table that can be run.

        Rows of other methods run with the profiles of these, as far as they are shipped, and take
        no settings of this method.

        Raises:
            ConfigError: with this profile two rows are the same, or no row can be run.
        """
        (profile,), method = self.request.profiles, next(iter(self.request.methods), None)
        found: list[Setting] = []
        for row in table.rows:
            if not row.runnable or (row.profile and row.profile not in profiles()):
                why = row.note or "no method here runs it"
                log.info("table %d, %s: as published (%s)", table.number, row.label, why)
                continue
            if row.profile:
                config = self._of_all_methods().config(row.profile, None, row.settings, row.support)
            else:
                more = [*row.settings, *(["support.kind=mask"] if row.given_mask else [])]
                config = self.config(profile, method, more)
            setting = Setting(row.label, config, row.settings)
            same = next((s for s in found if s.config.sha256 == setting.config.sha256), None)
            if same is not None and row.prompt_set is None:
                raise ConfigError(
                    f"with profile '{setting.config.profile}' the rows '{same.label}' and "
                    f"'{row.label}' of table {table.number} are the same; it is about the parts of "
                    f"profile '{PROFILES[0]}': add --profile {PROFILES[0]}"
                )
            found.append(setting)
        if not found:
            raise ConfigError(f"no row of table {table.number} can be run by a method here")
        if profile not in PROFILES:
            log.warning(
                "the rows of table %d are settings of profile '%s'; with '%s' only the labels are "
                "the paper's",
                *(table.number, PROFILES[0], profile),
            )
        return found

    def _of_all_methods(self) -> Choice:
        """With those overrides that any method understands."""
        kept = [each for each in self.overrides if each.partition(".")[0] in _OF_ALL_METHODS]
        return replace(self, overrides=kept)


def _choices(sweep: str) -> list[str]:
    key, sign, values = sweep.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not sign or not key.strip() or not all(listed):
        raise ConfigError(f"--sweep {sweep!r} is not of the form section.key=value,value,...")
    return [f"{key.strip()}={value}" for value in listed]
