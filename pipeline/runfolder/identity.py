"""What makes the rows of two runs comparable: settings, prompts, weights, source."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from ipseg.config import Config
from ipseg.errors import WeightsError
from ipseg.rows import Row
from ipseg.storage.files import read_bytes
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import find

log = logging.getLogger("ipseg")


def weights_identity(config: Config) -> dict[str, dict[str, str]]:
    """sha256 of each file of each set of weights that a profile needs.

    Raises:
        WeightsError: some are missing; says how to get them.
    """
    found = [find(need, config.models) for need in needs(config.resolved)]
    for each in found:
        if not each.complete:
            lacks = f" ({', '.join(each.missing)})" if each.missing else ""
            raise WeightsError(
                f"weights {each.need.name} of profile '{config.profile}' are missing{lacks}; run "
                f"`ipseg weights fetch {config.profile}`, which also says what to get by hand"
            )
    if found:
        log.info("hashing %.1f GB of weights", sum(each.size for each in found) / 1e9)
    return {each.need.name: {file.name: file.sha256() for file in each.files} for each in found}


def prompts_identity(rows: Sequence[Row], bank: str | None) -> dict[str, str]:
    """A hash of each prompt's picture and mask, or of a bank that was made before."""
    if bank is not None:
        return {"bank": hashlib.sha256(read_bytes(bank)).hexdigest()[:32]}
    return {
        row["key"]: hashlib.sha256(
            row["image_bytes"] + b"\0" + (row.get("mask_bytes") or b"")
        ).hexdigest()[:32]
        for row in rows
    }


def config_sha256(config: Config, weights: dict[str, dict[str, str]]) -> str:
    """64 hex digits over all settings and weights that change results."""
    canonical = json.dumps([config.relevant, weights], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def run_identity(
    config: Config, weights: dict[str, dict[str, str]], **more: object
) -> dict[str, Any]:
    """What a run folder is bound to: settings by their names, weights, and what the job adds."""
    return {**config.relevant, "weights": weights, **more}
