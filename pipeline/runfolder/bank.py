"""The bank in a run folder: prompts described by a run of their own, read by those who need them.

    BANK/data/           a row for each prompt image, see `ipseg.columns.PROMPT`
    BANK/entries.parquet for each concept its category and where its prompts are stored

Prompts are written one to a row group, so that one can be read without its neighbours. A worker
keeps the features that it used last, as far as the memory allows that it was given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.bank import Bank, RecentlyUsed
from ipseg.columns import decode_arrays
from ipseg.errors import PromptError
from ipseg.prompt_sheet import prompt_sheet
from ipseg.rows import Arrays
from ipseg.storage.files import exists, read_bytes, write_whole
from pipeline.runfolder.folder import BANK
from pipeline.runfolder.parts import Place, read_place, read_placed

ENTRIES = "entries.parquet"
GROUP_ROWS = 1
_FEATURES = "prompts.list.element.features"
_PROMPT = pa.struct(
    [
        ("key", pa.string()),
        ("part", pa.string()),  # below the bank's folder
        ("index", pa.int32()),
        ("errors", pa.list_(pa.string())),  # CHAIN:MESSAGE; of all chains, :MESSAGE
    ]
)
_SCHEMA = pa.schema(
    [
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("prompts", pa.list_(_PROMPT)),
    ]
)
_AT_ONCE = 1024
_caches: dict[str, RecentlyUsed] = {}


def bank_folder(url: str) -> str:
    """The bank's folder, given that or the run folder that it is part of.

    Absolute on a disk: a manifest names it, and is read from other working directories.
    """
    url = url.rstrip("/")
    url = url if "://" in url else str(Path(url).absolute())
    return f"{url}/{BANK}" if exists(f"{url}/{BANK}/{ENTRIES}") else url


def bank_of(out: str, manifest: Mapping[str, Any]) -> str:
    """The folder of the bank that a run's manifest names."""
    bank = str(manifest["bank"])
    return bank if "/" in bank else f"{out.rstrip('/')}/{bank}"


def write_entries(folder: str, concepts: Mapping[str, Sequence[str]]) -> None:
    """Writes BANK/entries.parquet once all prompts are described.

    Args:
        folder: of the bank.
        concepts: concept -> keys of its prompts, in the order in which they are merged.
    """
    stored: dict[str, dict[str, Any]] = {}
    columns = ["uri", "error_message", "chain_errors"]
    for place, row in read_placed(folder, columns):
        chains = [(e["chain"], e["error_message"]) for e in row["chain_errors"] or ()]
        if row["error_message"]:
            chains = [("", row["error_message"])]
        stored[place.key] = {
            "key": place.key,
            "part": place.part[place.part.rindex("/data/shard=") + 1 :],
            "index": place.index,
            "errors": [f"{chain}:{row['uri']} cannot be used: {why}" for chain, why in chains],
        }
    earlier = _read_entries(folder) if exists(f"{folder}/{ENTRIES}") else _SCHEMA.empty_table()
    # A concept that is added later does not change the ids of the others.
    ids = _numbers(earlier)
    for name in sorted(set(concepts) - set(ids)):
        ids[name] = max(ids.values(), default=0) + 1
    buffer = io.BytesIO()
    schema = _SCHEMA.with_metadata({"version": uuid4().hex})
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        names = sorted(concepts)
        for first in range(0, len(names), _AT_ONCE):
            records = [
                {
                    "concept": name,
                    "category_id": ids[name],
                    "prompts": [stored[key] for key in concepts[name]],
                }
                for name in names[first : first + _AT_ONCE]
            ]
            writer.write_table(pa.Table.from_pylist(records, schema))
    write_whole(f"{folder}/{ENTRIES}", buffer.getvalue())


def category_ids(folder: str) -> dict[str, int]:
    """Concept -> category id. Raises PromptError: the bank cannot be read."""
    return _numbers(_read_entries(folder))


def _numbers(entries: pa.Table) -> dict[str, int]:
    columns = (entries[name].to_pylist() for name in ("concept", "category_id"))
    return dict(zip(*columns, strict=True))


def _read_entries(folder: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(read_bytes(f"{folder}/{ENTRIES}")))
    except (OSError, pa.ArrowInvalid) as error:
        raise PromptError(f"cannot read the bank at {folder}: {error}") from error


@dataclass
class StoredBank(Bank):
    """A bank by its address. Picklable; nothing is read before it is asked for.

    Attributes:
        folder: of the bank.
        chain: whose features it gives, "" where prompts are described in one way.
        merge: features of a concept's prompts -> those of the concept.
        cache_mb: memory for features, in MB, for all banks of a worker at this address together.
    """

    folder: str
    chain: str
    merge: Callable[[Sequence[Arrays]], Arrays] = field(compare=False, repr=False)
    cache_mb: float = field(default=512.0, compare=False)

    def _repr_png_(self) -> bytes | None:
        """What a notebook displays: the prompts, and what was taken for the object of each."""
        return prompt_sheet(bank_rows(self.folder))

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read of it."""
        return {name: getattr(self, name) for name in ("folder", "chain", "merge", "cache_mb")}

    @property
    def identity(self) -> tuple[str, ...]:
        """See `Bank.identity`."""
        return (self.folder, self.chain)

    @cached_property
    def _entries(self) -> pa.Table:
        return _read_entries(self.folder)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.categories)}

    @cached_property
    def categories(self) -> Mapping[str, int]:
        """See `Bank.categories`."""
        return _numbers(self._entries)

    def _prompts(self, concept: str) -> list[dict[str, Any]]:
        prompts: list[dict[str, Any]] = self._entries["prompts"][self._places[concept]].as_py()
        return prompts

    def failure(self, concept: str) -> str | None:
        """See `Bank.failure`."""
        errors = [e.partition(":") for p in self._prompts(concept) for e in p["errors"]]
        return next((why for chain, _, why in errors if chain in ("", self.chain)), None)

    def features(self, concept: str) -> Arrays:
        """See `Bank.features`.

        Raises:
            PromptError: a prompt of the concept could not be described.
            OSError: a part cannot be read.
        """
        if (why := self.failure(concept)) is not None:
            raise PromptError(f"prompt {why}")
        cache = _caches.setdefault(self.folder, RecentlyUsed(0))
        cache.limit = int(self.cache_mb * 1e6)
        version = self._entries.schema.metadata[b"version"]  # a bank may be made anew
        return cache.get((version, self.chain, concept), lambda: self._read(concept))

    def _read(self, concept: str) -> Arrays:
        return self.merge([self._features(prompt) for prompt in self._prompts(concept)])

    def _features(self, prompt: dict[str, Any]) -> Arrays:
        place = Place(prompt["key"], f"{self.folder}/{prompt['part']}", prompt["index"])
        row = read_place(place, ["prompts"])
        (features,) = (p["features"] for p in row["prompts"] if p["chain"] == self.chain)
        return decode_arrays(features)


def bank_rows(folder: str) -> Iterator[dict[str, Any]]:
    """The prompts of a bank without their features: key, uri, concept, image_sha256, size,
    thumbnail, and `prompts` with mask, mask_source and warning for each chain.
    """  # noqa: D205  (one sentence)
    columns = [
        *("key", "uri", "concept", "width", "height", "image_sha256", "thumbnail", "prompts"),
        *("row_status", "error_message", "chain_errors"),
    ]
    return (row for _, row in read_placed(folder, columns, without=(_FEATURES,)))
