"""Methods: each names its steps for prompts and for images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ipseg.bank import PromptBank
    from ipseg.config import Config
    from ipseg.features import Extractor
    from ipseg.rows import Row, Step
    from ipseg.sweep import Sweep


class Method(Protocol):
    """Two lists of steps, and the bank that joins them."""

    def prompt_steps(self) -> list[Step]:
        """What is done with a prompt image."""

    def bank(self, rows: list[Row]) -> PromptBank:
        """The prompt bank from the rows that came out of `prompt_steps`."""

    def image_steps(self, bank: PromptBank) -> list[Step]:
        """What is done with an image."""

    def support_steps(self, extractors: dict[str, Extractor]) -> list[Step]:
        """What is done with a support of an episode, described by all extractors of a pass."""

    def sweep_steps(self, sweep: Sweep, extractors: dict[str, Extractor]) -> list[Step]:
        """What is done with an image that is asked for episodes, with all settings of a pass."""


def create_method(config: Config) -> Method:
    """The method that a configuration names."""
    from ipseg.components import METHODS, load_class

    method: Method = load_class(METHODS[config.method])(config)
    return method
