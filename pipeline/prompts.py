"""Prompts into a bank: a run of their own, below that of the images that are matched with them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipseg.bank import Bank
from ipseg.config import Config, config_sha256
from ipseg.errors import PromptError
from ipseg.methods.chain import PromptChains, prompt_chains
from ipseg.rows import Row, check_chain
from ipseg.steps.support import check_given
from ipseg.storage.files import exists, read_bytes
from ipseg.wording import counted
from pipeline.process import (
    Engine,
    Outcome,
    Work,
    earlier_shard_count,
    process,
    write_shards,
)
from pipeline.runfolder.bank import (
    ENTRIES,
    GROUP_ROWS,
    StoredBank,
    bank_folder,
    bank_rows,
    write_entries,
)
from pipeline.runfolder.finished import Retry
from pipeline.runfolder.manifest import Manifest, weights_identity
from pipeline.runfolder.open_run import open_run
from pipeline.runfolder.sink import ShardWriter
from pipeline.sources.listing import Spool
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

log = logging.getLogger("ipseg")

GIVEN = (
    *("key", "uri", "version", "concept", "crop"),
    *("given_mask", "given_box", "given_points", "ground_truth"),
)
SOURCE_COLUMNS = (*GIVEN, "shard")
STORED = ("prompts", "concept", "image_sha256", "thumbnail", "chain_errors")
OUTPUT_COLUMNS = ("key", "shard", "uri", "version", "width", "height", *STORED)
PART_ROWS = 16  # a prompt may be megabytes of features


@dataclass(frozen=True)
class Prompts:
    """Prompt images and what they are examples of.

    Attributes:
        rows: columns `GIVEN`, keys unique; each image once, whatever it is used for.
        concepts: name in the bank -> keys of its prompts, in the order in which they are merged.
        needed: a prompt that cannot be used ends the run; otherwise its concepts are left out.
    """

    rows: Sequence[Row] = field(repr=False)
    concepts: Mapping[str, Sequence[str]] = field(repr=False)
    needed: bool = True

    @property
    def drawn(self) -> bool:
        """Whether a prompt comes with a box or points."""
        return any(row.get("given_box") or row.get("given_points") for row in self.rows)

    @property
    def identity(self) -> dict[str, dict[str, str]]:
        """Concept -> key -> a hash of the prompt's image and of what is given with it."""
        hashes = {row["key"]: _hash(row) for row in self.rows}
        return {name: {key: hashes[key] for key in keys} for name, keys in self.concepts.items()}


def _hash(row: Row) -> str:
    digest = hashlib.sha256(read_bytes(row["uri"]))
    mask = row.get("given_mask", "")
    digest.update(b"\0" + (read_bytes(mask.rpartition("#")[0]) if "#" in mask else mask.encode()))
    digest.update(repr([row.get("given_box"), row.get("given_points")]).encode())
    return digest.hexdigest()[:32]


def chains_of(variants: Mapping[str, Config], prompts: Prompts) -> PromptChains:
    """How the prompts are described for all variants.

    Raises:
        ConfigError: a part that a support needs is not set.
    """
    chains = prompt_chains(variants, drawn=prompts.drawn)
    check_chain(chains.steps, SOURCE_COLUMNS)
    return chains


def describe(
    folder: str,
    prompts: Prompts,
    variants: Mapping[str, Config],
    engine: Engine,
    *,
    about: Mapping[str, Any],
    retry: Retry | None = None,
    unused: bool = False,
) -> Outcome:
    """Describes the prompts, or goes on with what an earlier run has described of them.

    Args:
        folder: of the bank.
        prompts: to describe.
        variants: label -> configuration, at least one.
        engine: of the images; that for few rows may be another.
        about: what else the bank is bound to: hashes of the prompts, or of a list of episodes.
        retry: prompts to do again, None for none. Prompts that are needed and have failed are done
            again in any case: a run that ended because of them can be started again.
        unused: no image was matched with the bank yet, so that of other prompts is replaced.

    Raises:
        PromptError: a prompt that is needed cannot be used; names it and the reason.
        ConfigError: the bank there was made with other settings.
    """
    chains = chains_of(variants, prompts)
    if prompts.needed:
        by_image = (each for each in variants.values() if each.method.prompted_by == "image")
        for kind in sorted({each.support.kind for each in by_image}):
            for row in prompts.rows:
                check_given(row, kind, read_bytes)
    config = next(iter(variants.values()))
    engine = engine.for_few(chains.steps, len(prompts.rows))
    retry = Retry() if prompts.needed else retry
    identity = {**bank_identity(chains, config), **about}
    earlier = Manifest.read(folder) if unused else None
    other = earlier is not None and any(earlier.differences(identity))
    with open_run(folder, identity, overwrite=other) as run:
        by = run.begin(config, engine.name, concepts=len(prompts.concepts))
        with Spool(GIVEN) as spool:
            spool.add(prompts.rows)
            shards = spool.write(folder, earlier_shard_count(folder))
        write_shards(folder, shards)
        writer = ShardWriter(folder, by, STORED, GROUP_ROWS)
        source = Source(folder, "prompts", shards, len(prompts.rows), {})
        work = Work(
            *(source, chains.steps, SOURCE_COLUMNS, OUTPUT_COLUMNS, writer, PART_ROWS, retry),
            earlier=run.earlier_runs,
        )
        outcome = process(engine, work, FailureBudget(1.0))
        before = f", {outcome.before} before" if outcome.before else ""
        log.info("%s described%s", counted(outcome.done_now, "prompt"), before)
        if prompts.needed:
            _refuse_failed(folder)
        write_entries(folder, prompts.concepts)
        run.finish(outcome.counts, outcome.rows_per_second)
    return outcome


def _refuse_failed(folder: str) -> None:
    for row in bank_rows(folder):
        why = row["error_message"] or next((e["error_message"] for e in row["chain_errors"]), None)
        if why:
            raise PromptError(f"prompt {row['uri']} cannot be used: {why}")


def bank_identity(chains: PromptChains, config: Config) -> dict[str, Any]:
    """What a bank is bound to: settings of each chain and the weights that they name."""
    steps = {
        f"chain {name}" if name else "prompt": {step["step"]: step for step in steps}
        for name, steps in chains.settings.items()
    }
    return {**steps, "weights": weights_identity(steps, config)}


def check_bank(folder: str, config: Config) -> None:
    """Refuses a bank that was made by other settings, weights or another method.

    Raises:
        PromptError: names the first differences, or there is no bank.
    """
    manifest = _manifest(folder)
    if "prompt" not in manifest.identity:
        raise PromptError(
            f"the bank {folder} has prompts described in several ways, by a run that compared "
            f"settings; make one with --prompts DIR"
        )
    drawn = bool(manifest.identity["prompt"].get("support", {}).get("segmenter"))
    now = bank_identity(prompt_chains({"": config}, drawn=drawn), config)
    then = {name: manifest.identity.get(name) for name in now}
    if listed := list(Manifest(folder, then, {}, []).differences(now)):
        made_by = manifest.about["method"]
        if made_by != config.method_name:
            raise PromptError(
                f"the bank {folder} was made for method {made_by}; method {config.method_name} "
                f"keeps other things of a prompt: take profile '{manifest.about['profile']}', with "
                f"which it was made, or give the images again with --prompts DIR"
            )
        first = "\n  ".join(listed[:8])
        raise PromptError(
            f"the bank {folder} was made with other settings or weights than profile "
            f"'{config.profile}' has now:\n  {first}\nmake it again with --prompts DIR"
        )


def open_bank(url: str, config: Config) -> Bank:
    """The bank of an earlier run, to be used with the same settings.

    Args:
        url: of the run's folder, or of its bank.
        config: that its features are used with.

    Raises:
        PromptError: as `check_bank`.
    """
    folder = bank_folder(url)
    check_bank(folder, config)
    return banks_of(folder, {"": config}, prompt_chains({"": config}))[""]


def bank_sha256(folder: str) -> str:
    """64 hex digits, equal for banks that were made of the same prompts in the same way.

    Raises:
        PromptError: there is no bank.
    """
    return config_sha256(_manifest(folder).identity)


def _manifest(folder: str) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest is None or not exists(f"{folder}/{ENTRIES}"):
        raise PromptError(
            f"{folder} is no bank: give the run folder of an earlier run, or its folder 'bank'"
        )
    return manifest


def banks_of(folder: str, variants: Mapping[str, Config], chains: PromptChains) -> dict[str, Bank]:
    """Label of each variant -> its bank; nothing is read yet."""
    return {
        label: StoredBank(
            folder, chains.chain_of[label], config.method.merge, config.runtime.bank_cache_mb
        )
        for label, config in variants.items()
    }
