"""OUT/manifest.json: what the rows in a run folder are made of, and whether a run may go on there.

Rows of one folder are comparable because all of them come from the same settings, prompts and
weights. Whatever changes results is compared before a run goes on; sizes of batches and pools are
not, nor where weights and machines are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipseg.config import Config
from ipseg.errors import ConfigError, OutputError, WeightsError
from ipseg.storage.files import read_bytes, write_whole
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import Found, find
from pipeline.runfolder.parts import SCHEMA_VERSION, other_version

log = logging.getLogger("ipseg")

FILE = "manifest.json"
_LISTED = 20  # differences that a message names
_LENGTH = 160  # of a value in it
_WORTH_SAYING = 100_000_000  # bytes: hashing fewer takes no time

_hashed: set[Path] = set()  # weights of this process; their sums are kept


@dataclass
class Manifest:
    """The manifest of a run folder.

    Attributes:
        out: run folder.
        identity: what must be the same for a run to go on: nested plain data, compared key by key.
        about: the rest: versions, places, counts.
        runs: one entry for each start of the command, newest last.
    """

    out: str
    identity: dict[str, Any]
    about: dict[str, Any]
    runs: list[dict[str, Any]]

    @staticmethod
    def read(out: str) -> Manifest | None:
        """The manifest there, None if there is none.

        Raises:
            OutputError: it cannot be read, or was written by another version of the schema.
        """
        try:
            content = json.loads(read_bytes(f"{out}/{FILE}"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise OutputError(f"{out}/{FILE} is damaged ({error}); choose another --out") from error
        if content.get("schema_version") != SCHEMA_VERSION:
            raise OutputError(other_version(out, content.get("schema_version")))
        identity, runs = content.pop("identity"), content.pop("runs")
        return Manifest(out, identity, content, runs)

    def write(self) -> None:
        """Writes it, whole or not at all."""
        content = {
            "schema_version": SCHEMA_VERSION,
            **self.about,
            "identity": self.identity,
            "runs": self.runs,
        }
        write_whole(f"{self.out}/{FILE}", (json.dumps(content, indent=1) + "\n").encode())

    def differences(self, identity: Mapping[str, Any]) -> Iterator[str]:
        """`key: old -> new` for each leaf in which another identity differs, keys as in `--set`."""
        return differences(self.identity, json.loads(json.dumps(identity)))

    def check_same(self, identity: Mapping[str, Any]) -> None:
        """Refuses to add rows that would not be comparable with those that are there.

        Concepts may be added to the prompts: rows that lack them are done again in part.

        Raises:
            ConfigError: names each difference, old -> new.
        """
        added = set(identity.get("prompts", ())) - set(self.identity.get("prompts", ()))
        same = {k: v for k, v in identity.get("prompts", {}).items() if k not in added}
        known = {**identity, "prompts": same} if added else identity
        if changes := list(self.differences(known)):
            more = [f"and {len(changes) - _LISTED} more"] if len(changes) > _LISTED else []
            listed = "\n  ".join([*changes[:_LISTED], *more])
            raise ConfigError(
                f"{self.out} holds rows made with other settings:\n  {listed}\n"
                f"set them back, choose another --out, or start over with --overwrite"
            )


def missing(runs: Iterable[Mapping[str, Any]], concepts: Sequence[str]) -> dict[str, list[str]]:
    """Id of each start -> those of the concepts that it did not look for, if any.

    Args:
        runs: as in the manifest; one that does not say its concepts has looked for all.
        concepts: to look for.
    """
    lacking = {
        run["run_id"]: [name for name in concepts if name not in run.get("concepts", concepts)]
        for run in runs
    }
    return {run_id: names for run_id, names in lacking.items() if names}


def differences(old: object, new: object, where: str = "") -> Iterator[str]:
    """`key: old -> new` for each leaf that differs, keys as in `--set`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{where}.{key}" if where else str(key)
            yield from differences(old.get(key), new.get(key), place)
    elif old != new:
        texts = [json.dumps(value) if value is not None else "nothing" for value in (old, new)]
        yield f"{where}: {_cut(texts[0])} -> {_cut(texts[1])}"


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..."


def weights_of(settings: Mapping[str, Any], config: Config) -> list[Found]:
    """The weights that settings name.

    Args:
        settings: plain data, `Config.resolved` or a part of it.
        config: says where weights are looked for.

    Raises:
        WeightsError: some are missing; says how to get them.
    """
    found = [find(need, config.models) for need in needs(settings)]
    for each in found:
        if not each.complete:
            lacks = f" ({', '.join(each.missing)})" if each.missing else ""
            raise WeightsError(
                f"weights {each.need.name} of profile '{config.profile}' are missing{lacks}; run "
                f"`ipseg weights fetch {config.profile}`, which also lists what to get by hand"
            )
    return found


def weights_identity(settings: Mapping[str, Any], config: Config) -> dict[str, dict[str, str]]:
    """sha256 of each file of each set of weights that settings name.

    Args:
        settings: as in `weights_of`.
        config: as in `weights_of`.

    Raises:
        WeightsError: some are missing; says how to get them.
    """
    found = weights_of(settings, config)
    files = {file.path: file for each in found for file in each.files}
    fresh = [file for path, file in files.items() if path not in _hashed]
    _hashed.update(files)
    if (size := sum(file.path.stat().st_size for file in fresh)) >= _WORTH_SAYING:
        log.info("hashing %.1f GB of weights", size / 1e9)
    return {each.need.name: {file.name: file.sha256() for file in each.files} for each in found}
