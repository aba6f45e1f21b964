"""`ipseg settings`: every key of a profile, to be read or searched."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from ipseg.config import Config
from ipseg.errors import ConfigError
from ipseg.settings import Setting, list_settings
from jobs.output import print_json

_INDENT = "    "


def print_settings(config: Config, words: Sequence[str], *, as_json: bool) -> None:
    """Prints the settings of a configuration to stdout.

    Args:
        config: whose values are the defaults.
        words: only settings that have all of these in key or meaning, in whatever case.
        as_json: print a list instead of text.

    Raises:
        ConfigError: there are none.
    """
    found = [each for each in list_settings(config) if _has(each, words)]
    if not found:
        raise ConfigError(
            f"no setting of profile '{config.profile}' has {' and '.join(words)} in its key or "
            f"meaning; `ipseg settings --profile {config.profile}` lists all"
        )
    if as_json:
        print_json([asdict(each) for each in found], indent=1)
        return
    console = Console(highlight=False)
    section = found[0].key.partition(".")[0]
    for each in found:
        name = each.key.partition(".")[0]
        if name != section:
            console.print()
        section = name
        console.print(Text(each.key, "bold"), f"= {_value(each.default)}", soft_wrap=True)
        about = textwrap.fill(f"{each.type}: {each.meaning}", console.width - len(_INDENT))
        console.print(Text(textwrap.indent(about, _INDENT)), soft_wrap=True)


def _has(setting: Setting, words: Sequence[str]) -> bool:
    text = f"{setting.key} {setting.meaning}".casefold()
    return all(word.casefold() in text for word in words)


def _value(value: object) -> str:
    """As `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value)
