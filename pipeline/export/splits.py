"""Which side of a split an image is on: by the hash of its key, so that it never moves."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ipseg.errors import ConfigError

DEFAULT_SALT = "ipseg"
KEY, FOLDER = "key", "folder"  # what images are kept together by; else the name of a column
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Splits:
    """The sides of a split, and how images are put on them.

    Adding images moves none, and with two sides a larger share of the second one only moves images
    from the first to it.

    Attributes:
        shares: side -> its share of the images; they add up to 1.
        salt: another one draws again.
        by: images of equal value stay together: "key", "folder", or a column of the run.
        column: of the run that names the side of each image; then nothing is drawn.
    """

    shares: Mapping[str, float]
    salt: str = DEFAULT_SALT
    by: str = KEY
    column: str | None = None

    @staticmethod
    def parse(text: str | None, **more: Any) -> Splits:  # noqa: ANN401
        """`train=0.8,val=0.2`; None puts all on the side "train". `more` are other attributes.

        Raises:
            ConfigError: it is no list of names and shares, or they do not add up to 1.
        """
        shares: dict[str, float] = {}
        for each in (text or "train=1").split(","):
            name, sign, share = (part.strip() for part in each.partition("="))
            check_side(name)
            try:
                shares[name] = float(share)
            except ValueError:
                sign = ""
            if not sign or not 0 <= shares[name] <= 1:
                raise ConfigError(f"--split is NAME=SHARE,..., as train=0.8,val=0.2; not '{each}'")
        if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
            raise ConfigError(
                f"the shares of --split add up to {sum(shares.values()):g}; they have to give 1"
            )
        return Splits(shares, **more)

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns of the run that are needed to know the side of an image."""
        if self.column is not None:
            return (self.column,)
        return () if self.by in (KEY, FOLDER) else (self.by,)

    def side(self, key: str, record: Mapping[str, Any]) -> str:
        """The side of an image.

        Args:
            key: of the image.
            record: its columns, those of `carried` among them.

        Raises:
            ConfigError: the column that names it has no name.
        """
        if self.column is not None:
            side = record[self.column]
            if side is None:
                raise ConfigError(f"column '{self.column}' says no side of a split for {key!r}")
            check_side(str(side))
            return str(side)
        if self.by in (KEY, FOLDER):
            group = key.rpartition("/")[0] if self.by == FOLDER else key
        else:
            group = str(record[self.by])
        return self._drawn(fraction(self.salt, group))

    def _drawn(self, at: float) -> str:
        first, *others = self.shares
        end = 0.0
        for name in others:
            end += self.shares[name]
            if at < end:
                return name
        return first


def fraction(salt: str, group: str) -> float:
    """A number in [0, 1) that depends on these two texts alone."""
    digest = hashlib.blake2b((salt + group).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def check_side(name: str) -> None:
    """Refuses a name of a side that could not be that of a folder.

    Raises:
        ConfigError: it has other characters than letters, digits, - and _.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"the name of a side of a split has letters, digits, - and _ alone, not {name!r}"
        )
