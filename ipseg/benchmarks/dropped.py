"""Records of annotation files that cannot be used: left out and counted, or refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ipseg.errors import SourceError
from ipseg.storage.stamps import stamps

_FEW = 3  # images without file that are no sign of an incomplete download, however few there are


class RecordError(SourceError):
    """One record cannot be used; the others of the file can.

    Attributes:
        reason: the kind of fault, by which records are counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Dropped:
    """What was left out, by reason.

    Attributes:
        strict: raises the first error instead.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._found: dict[str, tuple[int, str]] = {}  # reason -> count, first message
        self._seen: set[str] = set()
        self._read = self._lost = 0

    @property
    def listed(self) -> list[dict[str, Any]]:
        """`reason`, `count` and `example`, a message that names file and record, of each reason."""
        return [
            {"reason": reason, "count": count, "example": example}
            for reason, (count, example) in self._found.items()
        ]

    def add(self, error: RecordError) -> None:
        """Counts what is left out, once however often the file is read.

        Raises:
            RecordError: the given one, if `strict`.
        """
        if self.strict:
            raise error
        if str(error) not in self._seen:
            self._seen.add(str(error))
            self._count(error.reason, 1, str(error))

    def restore(self, listed: Iterable[dict[str, Any]]) -> None:
        """Counts what was left out when a table was made.

        Raises:
            SourceError: there is something, and `strict`.
        """
        for each in listed:
            if self.strict:
                raise SourceError(each["example"])
            self._count(each["reason"], each["count"], each["example"])

    @contextmanager
    def record(self) -> Iterator[None]:
        """Leaves out a record that the body cannot use."""
        self._read += 1
        try:
            yield
        except RecordError as error:
            self._lost += 1
            self.add(error)

    def check(self, url: str) -> None:
        """Refuses a file of which more than half was left out: it is damaged, or another one.

        Raises:
            SourceError: names the first record.
        """
        if 2 * self._lost > self._read:
            example = next(iter(self._found.values()))[1]
            raise SourceError(
                f"{url}: {self._lost} of {self._read} records cannot be used; {example}"
            )

    def missing(self, folder: str, names: Collection[str]) -> set[str]:
        """The images that have no file, which are counted.

        Raises:
            SourceError: as `add`, or more than a tenth is missing: the numbers would be those of
                another data set.
            OSError: the storage does not answer.
        """
        urls = {f"{folder}/{name}": name for name in names}
        lost = sorted(url for url, stamp in stamps(urls).items() if stamp is None)
        if len(lost) > max(_FEW, len(names) // 10):
            raise SourceError(
                f"{lost[0]} is missing, as are {len(lost)} of {len(names)} images; is the download "
                "complete?"
            )
        for url in lost:
            self.add(RecordError("image without file", f"{url} is missing"))
        return {urls[url] for url in lost}

    def _count(self, reason: str, count: int, example: str) -> None:
        before, first = self._found.get(reason, (0, example))
        self._found[reason] = before + count, first
