"""A row that is finished, and whether it is to be done again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ipseg.errors import ConfigError
from pipeline.runfolder.status import GONE

BROKEN = ("failed", "poisoned")


class Finished(NamedTuple):
    """A row that is in a part; the fields are columns of it.

    Attributes:
        key_hash: of its key.
        row_status: "ok", "empty", "failed" or "poisoned".
        error_type: class of the exception, None if it has not failed.
        incomplete: how much of it could not be done.
        run_id: of the start that wrote it.
        version: of its image's file, where the listing says one.
        content_hash: of its encoded image, where it could be read.
        gone: whether its image is no longer in the source.
    """

    key_hash: bytes
    row_status: str
    error_type: str | None
    incomplete: int
    run_id: str
    version: str | None
    content_hash: str | None
    gone: bool

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        return GONE if self.gone else self.row_status


@dataclass(frozen=True)
class Retry:
    """Which finished rows are to be done again.

    Attributes:
        types: error types; empty for all failed and poisoned rows, and for those of which a chain
            or a comparison failed.
    """

    types: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Retry:
        """From "failed" or "failed:TYPE,TYPE".

        Raises:
            ConfigError: it is of another form.
        """
        what, sign, types = text.partition(":")
        chosen = tuple(name.strip() for name in types.split(",") if name.strip())
        if what != "failed" or bool(sign) != bool(chosen):
            raise ConfigError(f"--retry {text!r} is not of the form failed or failed:TYPE,TYPE")
        return Retry(chosen)

    def wants(self, row: Finished) -> bool:
        """Whether a row is to be done again."""
        if not self.types:
            return row.row_status in BROKEN or row.incomplete > 0
        return row.row_status in BROKEN and row.error_type in self.types
