"""Settings that cannot run: found before any work, and each a line of the table with its reason."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from ipseg.config import Config
from ipseg.errors import IpsegError
from ipseg.methods.chain import prompt_chains
from jobs.evaluation.settings import Setting
from pipeline.runfolder.manifest import weights_of

log = logging.getLogger("ipseg")


def refused(settings: Sequence[Setting]) -> dict[str, str]:
    """Label -> why a setting cannot run; the others can.

    Raises:
        IpsegError: none can; the reason of the first.
    """
    found = {setting.label: _why(setting.config) for setting in settings}
    errors = {label: error for label, error in found.items() if error is not None}
    if len(errors) == len(found):
        raise next(iter(errors.values()))
    for label, error in errors.items():
        log.warning("%s is not run: %s", label, error)
    return {label: str(error) for label, error in errors.items()}


def without(settings: Iterable[Setting], reasons: dict[str, str]) -> list[Setting]:
    """The settings that are not refused."""
    return [setting for setting in settings if setting.label not in reasons]


def _why(config: Config) -> IpsegError | None:
    try:
        prompt_chains({"": config})
        weights_of(config.resolved, config)
        config.method.check(config.models)
    except IpsegError as error:
        return error
    return None
