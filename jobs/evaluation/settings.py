"""The settings that an evaluation compares: methods, profiles, sweeps, rows of a paper's table."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipseg.benchmarks.published.paper_tables import PROFILES, PaperTable
from ipseg.config import Config, load_config, profile_of, profiles
from ipseg.errors import ConfigError, UnknownSetting

if TYPE_CHECKING:
    from jobs.evaluation.request import Measured

log = logging.getLogger("ipseg")

SALIENCY = "cornet"  # of the paper: TSDN
NAMED = "text given"  # in place of the support of methods that look at no example
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
        classes: names of all classes of the data; called where a method has a use for them.
    """

    request: Measured
    overrides: Sequence[str]
    given_mask: bool
    classes: Callable[[], Sequence[str]] = tuple

    @property
    def pairs(self) -> list[tuple[str | None, str]]:
        """Methods (None: the profile's own) and profiles; of a method alone, that of its name."""
        named = self.request.profiles or (None,)
        methods = self.request.methods or (None,)
        return [(method, each or profile_of(method)) for method in methods for each in named]

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
        overrides = [*self.overrides, *more]
        config = load_config(profile, overrides, method)
        names = self.classes() if config.method.others_in else ()
        if len(names) > 1:  # a name alone would have nothing to compete with
            usual = [f"{config.method.others_in}={json.dumps(list(names))}"]
            config = load_config(profile, overrides, method, usual=usual)
        kind = support or ("mask" if self.given_mask else None)
        if kind is None or (support is None and config.support.kind != "saliency"):
            return config
        if config.method.prompted_by == "name":
            return config
        overrides.append(f"support.kind={kind}")
        if kind == "saliency" and config.support.saliency is None:
            log.info("%s finds the object of an example by saliency of %s", profile, SALIENCY)
            overrides.append(f"support.saliency.kind={SALIENCY}")
        return load_config(profile, overrides, method)

    def settings(self) -> list[Setting]:
        """Every combination of methods, profiles, kinds of support and the sweep.

        A method takes those settings that it has; others must have the rest. One that looks at no
        example has no support, and one that has no setting of the sweep is there once.

        Raises:
            ConfigError: as `config`; no method has one of the settings; or two of what is compared
                are called the same.
        """
        sweep = [_choices(each) for each in self.request.sweep]
        supports = self.request.support
        choices = [self.pairs, supports or (None,), *sweep]
        if any(len(set(each)) < len(each) for each in choices):
            raise ConfigError(
                "a method, a profile, a support or a value of the sweep is named twice"
            )
        for method, profile in self.pairs if not self.request.profiles else ():
            if method is not None:
                log.info("method %s with the parts of profile %s", method, profile)
        found: dict[str, Setting] = {}
        taken = Taken()
        for (method, profile), support, *swept in itertools.product(*choices):
            label = ", ".join(self._names(method, profile))
            own = taken.by(label or profile, profile, [*self.overrides, *swept], method)
            mine = tuple(each for each in swept if each in own)
            alone = replace(self, overrides=[each for each in own if each not in mine])
            config = alone.config(profile, method, mine, support)
            if len(supports) > 1:
                by_name = config.method.prompted_by == "name"
                label = ", ".join(filter(None, [label, NAMED if by_name else f"support={support}"]))
            label = ", ".join(filter(None, [label, *mine]))
            found.setdefault(label, Setting(label, config, mine))
        taken.check()
        return list(found.values())

    def _names(self, method: str | None, profile: str) -> Iterator[str]:
        """What sets a method and profile apart from the others."""
        if method is not None and len(self.request.methods) > 1:
            yield method
        if len(self.request.profiles) > 1:
            yield profile

    def rows_of(self, table: PaperTable) -> list[Setting]:
        """The rows of a paper's table that can be run.

        Rows of other methods run with the profiles of these, as far as they are shipped, and take
        no settings of this method.

        Raises:
            ConfigError: with this profile two rows are the same, or no row can be run.
        """
        ((method, profile),) = self.pairs
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


@dataclass
class Taken:
    """Which settings are whose, where several methods are compared.

    Attributes:
        who: "section.key=value" -> labels of the methods that have it, and of those that do not.
        errors: the same -> why one does not.
    """

    who: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)
    errors: dict[str, UnknownSetting] = field(default_factory=dict)

    def by(
        self, label: str, profile: str, overrides: Sequence[str], method: str | None
    ) -> list[str]:
        """Those of the overrides that a method with a profile has.

        Raises:
            ConfigError: a value is wrong, or the profile itself.
        """
        kept = list(overrides)
        while True:
            try:
                load_config(profile, kept, method)
            except UnknownSetting as error:
                without = [each for each in kept if not _about(each, error.key)]
                if len(without) == len(kept):
                    raise
                for each in set(kept) - set(without):
                    known = self.errors.setdefault(each, error)
                    if len(error.key) > len(known.key):  # the method that is nearer to having it
                        self.errors[each] = error
                kept = without
            else:
                break
        for each in overrides:
            self.who.setdefault(each, (set(), set()))[each not in kept].add(label)
        return kept

    def check(self) -> None:
        """Says whose settings are, where they are not everybody's.

        Raises:
            UnknownSetting: nobody has one.
        """
        for override, (those, others) in self.who.items():
            if not those:
                raise self.errors[override]
            if others:
                log.info("--set %s is for %s alone", override, ", ".join(sorted(those)))


def _about(override: str, key: str) -> bool:
    """Whether an override sets a key, something in it, or a mapping that has it."""
    mine = override.partition("=")[0].strip()
    return mine == key or mine.startswith(f"{key}.") or key.startswith(f"{mine}.")


def _choices(sweep: str) -> list[str]:
    key, sign, values = sweep.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not sign or not key.strip() or not all(listed):
        raise ConfigError(f"--sweep {sweep!r} is not of the form section.key=value,value,...")
    return [f"{key.strip()}={value}" for value in listed]
