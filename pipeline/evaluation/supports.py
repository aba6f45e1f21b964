"""From the supports of episodes to banks: each picture is described once, whoever shows it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipseg.bank import PromptBank, build_bank
from ipseg.benchmarks.episode import Episode, Example
from ipseg.features import Extractor
from ipseg.methods import create_method
from ipseg.prompts import MASK_SUFFIX
from ipseg.rows import Row, check_chain, is_failed
from ipseg.storage.files import exists, read_bytes, write_whole
from pipeline.evaluation.passes import Variant

if TYPE_CHECKING:
    from pipeline.engines.local_engine import LocalEngine
    from pipeline.engines.ray_engine import RayEngine

log = logging.getLogger("ipseg")

SUPPORT_COLUMNS = ("key", "uri", "concept", "crop", "truth")
DESCRIBED_COLUMNS = (
    *("key", "uri", "concept", "width", "height", "image_sha256"),
    *("description", "prompt_mask", "mask_source", "warning", "thumbnail"),
)


def entry_of(episode: Episode) -> str:
    """Name of the bank entry that an episode's supports make: the same for the same supports."""
    shown = "\n".join(f"{support.key} {support.ground_truth}" for support in episode.supports)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def bank_of(out: str, variant: Variant) -> str:
    """Address, without suffix, of the bank of a variant: one for each way to isolate objects."""
    isolated = [variant.config.relevant["saliency"], variant.given_mask]
    digits = hashlib.sha256(json.dumps(isolated, sort_keys=True).encode()).hexdigest()[:8]
    return f"{out}/bank-{digits}"


@dataclass(frozen=True)
class Entries:
    """A bank and what could not be put into it.

    Attributes:
        bank: entries by `entry_of`.
        failed: entry -> why a support of it cannot be used.
    """

    bank: PromptBank = field(repr=False)
    failed: dict[str, str]


def failed_entries(out: str, variant: Variant) -> dict[str, str]:
    """Entry -> why its supports are of no use to a variant; empty before they were described."""
    file = f"{bank_of(out, variant)}.failed.json"
    return dict(json.loads(read_bytes(file))) if exists(file) else {}


def describe_supports(
    out: str,
    variant: Variant,
    extractors: dict[str, Extractor],
    episodes: Sequence[Episode],
    engine: LocalEngine | RayEngine,
    *,
    retry: bool = False,
) -> Entries:
    """Describes all supports of the episodes, or reads what an earlier run made of them.

    Args:
        out: run folder of the pass.
        variant: whose saliency isolates the objects, unless it is given their masks.
        extractors: of the pass.
        episodes: with supports.
        engine: to run on.
        retry: supports that failed in an earlier run are tried again.
    """
    where = bank_of(out, variant)
    earlier = None
    if exists(f"{where}.failed.json"):  # written last
        earlier = Entries(PromptBank.read(f"{where}.parquet"), failed_entries(out, variant))
        if not (retry and earlier.failed):
            return earlier
        episodes = [episode for episode in episodes if entry_of(episode) in earlier.failed]
    found = _describe(variant, extractors, episodes, engine)
    if earlier is not None:
        found = Entries(_merged(earlier.bank, found.bank), found.failed)
    write_whole(f"{where}.parquet", found.bank.to_parquet())
    write_whole(f"{where}.failed.json", json.dumps(found.failed).encode())
    return found


def _describe(
    variant: Variant,
    extractors: dict[str, Extractor],
    episodes: Sequence[Episode],
    engine: LocalEngine | RayEngine,
) -> Entries:
    asked = {
        entry_of(episode): [_row(support, variant.given_mask) for support in episode.supports]
        for episode in episodes
    }
    rows = list({row["key"]: row for shown in asked.values() for row in shown}.values())
    log.info("describing %d supports for %d episodes", len(rows), len(episodes))
    steps = create_method(variant.config).support_steps(extractors)
    check_chain(steps, SUPPORT_COLUMNS)
    done = engine.collect(steps, rows, SUPPORT_COLUMNS, DESCRIBED_COLUMNS)
    described = {row["key"]: row for row in done}
    failed = {entry: why for entry, shown in asked.items() if (why := _why(described, shown))}
    views = [
        {**described[row["key"]], "concept": entry}
        for entry, shown in asked.items()
        if entry not in failed
        for row in shown
    ]
    return Entries(build_bank(views, extractors, variant.config), failed)


def _merged(one: PromptBank, other: PromptBank) -> PromptBank:
    """The bank that describing all at once would have made."""
    concepts = {concept.name: concept for concept in (*one.concepts, *other.concepts)}
    ordered = sorted(concepts.values(), key=lambda concept: concept.name)
    return PromptBank(
        tuple(replace(concept, category_id=n) for n, concept in enumerate(ordered, start=1)),
        one.settings_sha256,
    )


def _row(support: Example, given_mask: bool) -> Row:
    # A mask beside a prompt was put there to be used; ground truth only where the protocol says so.
    truth = support.ground_truth if given_mask or f"{MASK_SUFFIX}#" in support.ground_truth else ""
    return {
        # A picture may show several classes, each with a mask of its own.
        "key": f"{support.key} {hashlib.sha256(truth.encode()).hexdigest()[:8]}",
        "uri": support.uri,
        "concept": "",
        "crop": None if support.crop is None else list(support.crop),
        "truth": truth,
    }


def _why(described: dict[str, Row], shown: Sequence[Row]) -> str | None:
    for row in shown:
        done = described[row["key"]]
        if is_failed(done):
            return f"support {row['uri']} cannot be used: {done['error_message']}"
    return None
