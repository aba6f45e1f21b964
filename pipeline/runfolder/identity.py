"""What makes the rows of two runs comparable: settings, prompts, weights, source."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from ipseg.config import Config
from ipseg.errors import WeightsError
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import find

log = logging.getLogger("ipseg")


def weights_identity(settings: Mapping[str, Any], config: Config) -> dict[str, dict[str, str]]:
    """sha256 of each file of each set of weights that settings name.

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
    if found:
        log.info("hashing %.1f GB of weights", sum(each.size for each in found) / 1e9)
    return {each.need.name: {file.name: file.sha256() for file in each.files} for each in found}


def config_sha256(identity: Mapping[str, Any]) -> str:
    """64 hex digits over all that changes results."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
