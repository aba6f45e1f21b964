"""What people decided about the objects of a run: files of their own, that no run touches.

    OUT/review/<session>-000001.jsonl

A session is one person in one program; nobody else writes its files, so that any number of people
can work at once on any storage. A file is always written whole, the newest one again with each
decision, so that it is never torn.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from ipseg.errors import OutputError
from ipseg.storage.files import is_folder, read_bytes, write_whole
from ipseg.storage.walk import iterate_files
from ipseg.vision.masks import RLE

FOLDER = "review"
VERSION = 1
Verb = Literal["accept", "reject", "relabel", "edit", "skip", "undo"]

_PER_FILE = 500  # decisions, about 150 kB, which are written again with each further one


@dataclass(frozen=True)
class Decision:
    """One decision of one person.

    Attributes:
        key: of the image; "" for a rule, and for an undo.
        decision: what was decided. A rejection without a mask says that the concept is not in the
            image at all.
        concept: that the run gave the object.
        instance: of the object, None for all of the concept in the image.
        mask: `mask_hash` of the object that was looked at; the decision holds for this mask alone.
        relabel: the concept that it is instead.
        segmentation: the repaired mask of an edit.
        rule: {"concept", "min_score"} of objects that are accepted without being looked at.
        reason: of a rejection.
        undoes: id of the decision that is taken back.
        score: of the object, as it was.
        seconds: that the person took.
        order: in which objects were offered.
        sampled: how the object was drawn, {"how", "p"}; labels for a calibration are random ones.
        run_id: of the run whose object it was.
        id: of the decision; whoever may have to store it twice, because no answer came, gives it.
        at: when, UTC, ISO 8601.
        who: decided.
        session: that it is of.
        seq: number within the session, from 1.
    """

    key: str
    decision: Verb
    concept: str = ""
    instance: int | None = None
    mask: str | None = None
    relabel: str | None = None
    segmentation: RLE | None = field(default=None, repr=False)
    rule: Mapping[str, Any] | None = None
    reason: str | None = None
    undoes: str | None = None
    score: float | None = None
    seconds: float | None = None
    order: str | None = None
    sampled: Mapping[str, Any] | None = None
    run_id: str | None = None
    id: str = ""
    at: str = ""
    who: str = ""
    session: str = ""
    seq: int = 0


_FIELDS = {each.name for each in fields(Decision)}


def mask_hash(segmentation: Mapping[str, Any]) -> str:
    """16 hex digits over a mask: equal masks of equal size have equal ones."""
    height, width = segmentation["size"]
    text = f"{height} {width} {segmentation['counts']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Session:
    """Writes the decisions of one person, each durable when `add` returns. Threads may share it.

    Attributes:
        out: run folder.
        who: the person.
        name: of the session, part of its files' names.
    """

    def __init__(self, out: str, who: str | None = None) -> None:
        self.out = out.rstrip("/")
        self.who = who or getpass.getuser()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.name = f"{stamp}-{secrets.token_hex(4)}"
        self._lines: list[str] = []
        self._seq = 0
        self._lock = threading.Lock()

    def add(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Stores decisions.

        Returns:
            Them, with id, time, person, session and number.

        Raises:
            OSError: they cannot be written; they are not kept then.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            stored = [
                Decision(
                    **{
                        **{name: getattr(each, name) for name in _FIELDS},
                        **{"id": each.id or f"{self.name}-{self._seq + n}", "seq": self._seq + n},
                        **{"at": at, "who": self.who, "session": self.name},
                    }
                )
                for n, each in enumerate(decisions, start=1)
            ]
            for start in range(0, len(stored), _PER_FILE):
                self._write(stored[start : start + _PER_FILE])
        return stored

    def _write(self, decisions: Sequence[Decision]) -> None:
        number = self._seq // _PER_FILE + 1
        room = number * _PER_FILE - self._seq
        for which, these in ((number, decisions[:room]), (number + 1, decisions[room:])):
            if these:
                before = self._lines if which == number else []
                lines = [*before, *(_line(each) for each in these)]
                address = f"{self.out}/{FOLDER}/{self.name}-{which:06}.jsonl"
                write_whole(address, "".join(lines).encode())
                self._seq += len(these)
                self._lines = lines if self._seq % _PER_FILE else []


def _line(decision: Decision) -> str:
    said = {name: value for name, value in asdict(decision).items() if value is not None}
    return json.dumps({"v": VERSION, **said}) + "\n"


class DecisionFiles:
    """Reads the decisions about a run again and again, a file once as long as it stays the same.

    Args:
        out: run folder.
    """

    def __init__(self, out: str) -> None:
        self._folder = f"{out.rstrip('/')}/{FOLDER}"
        self._versions: dict[str, str] = {}

    def changed(self) -> list[Decision]:
        """All decisions in files that are new, or have changed, since the last call.

        Raises:
            OutputError, OSError: as `read_decisions`.
        """
        found: list[Decision] = []
        if not is_folder(self._folder):
            return found
        for file in iterate_files(self._folder):
            if file.name.endswith(".jsonl") and (
                not file.version or self._versions.get(file.name) != file.version
            ):
                found += _read(file.address)
                self._versions[file.name] = file.version
        return found


def read_decisions(out: str) -> list[Decision]:
    """All decisions about a run, in the order in which they hold: by time, then session.

    Raises:
        OutputError: a file is not one of decisions, or of a newer ipseg; names it.
        OSError: one cannot be read.
    """
    found = DecisionFiles(out).changed()
    return sorted(found, key=lambda each: (each.at, each.session, each.seq))


def _read(file: str) -> Iterator[Decision]:
    for number, line in enumerate(read_bytes(file).splitlines(), start=1):
        try:
            record = json.loads(line)
            version = record.pop("v")
            if version != VERSION:
                raise OutputError(
                    f"{file} was written by another version of ipseg (decisions of version "
                    f"{version}, this one knows {VERSION})"
                )
            yield Decision(**{name: record[name] for name in record if name in _FIELDS})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                f"{file}, line {number}: is no decision of a review ({error}); move the file away, "
                f"or remove the line"
            ) from error
