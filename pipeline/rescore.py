"""Other settings of scores for a finished run, without looking at any image again."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ipseg.columns import from_table, to_table
from ipseg.config import config_again
from ipseg.errors import ConfigError, OutputError
from ipseg.methods.method import Method
from ipseg.objects import Object
from ipseg.rows import Row
from ipseg.steps.judge import scores_of
from ipseg.storage.files import read_bytes, write_whole
from pipeline.labels.presence import quality_at
from pipeline.labels.thresholds import suggested
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.folder import list_run, read_success
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.manifest import Manifest, differences
from pipeline.runfolder.open_run import RESCORE, open_run
from pipeline.runfolder.parts import Place, part_files, read_batches, write_part

log = logging.getLogger("ipseg")

_SECTION = "scoring."
_WRITTEN_ANEW = ("schema_version", "profile", "method", "config", "config_sha256", "versions")


def rescore(out: str, overrides: Sequence[str]) -> Counter[str]:
    """Scores the objects of a run again by other settings of `scoring`.

    Interrupted, it is to be run again with the same settings before anything else.

    Args:
        out: run folder.
        overrides: "scoring.key=value" each.

    Returns:
        Rows by status.

    Raises:
        ConfigError: other settings would change, or objects are needed that were not written.
        OutputError: there is no run at this place, it is not finished, or another one is writing
            there.
    """
    out = out.rstrip("/")
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    newest = manifest.runs[-1]
    if newest["engine"] != RESCORE and not newest["finished"]:
        raise OutputError(
            f"{out} is not finished: start its command again first, then rescore it; "
            f"`ipseg status {out}` says what is left"
        )
    config = config_again(manifest.about["config"], overrides)
    identity = {**manifest.identity, **config.relevant}
    changes = list(differences(manifest.identity, json.loads(json.dumps(identity))))
    _check(manifest, changes, identity)
    about = {k: v for k, v in manifest.about.items() if k not in (*_WRITTEN_ANEW, "prompt_ids")}
    with open_run(out, manifest.identity, overwrite=False, rescores=True) as run:
        run.identity = identity
        looks_for = newest.get("concepts")
        by = run.begin(config, RESCORE, manifest.about.get("prompt_ids"), looks_for, **about)
        for part in part_files(out):
            table = _scored(
                pa.Table.from_batches(read_batches(part)), config.method, by.config_sha256
            )
            write_part(out, Place("", part, 0).shard, table)  # the same keys, the same name
        ledger = Ledger(out, by.run_id, by.config_sha256, run.earlier_runs)
        counts: Counter[str] = Counter()
        for shard in sorted(list_run(out).successes):
            if (success := read_success(out, shard, [])) is not None:
                counts.update(ledger.finish_shard(shard, success.rows, success.fingerprint))
        run.finish(counts)
    _measure(manifest)
    return counts


def _check(manifest: Manifest, changes: Sequence[str], identity: dict[str, Any]) -> None:
    if "variants" in manifest.identity:
        raise ConfigError(f"{manifest.out} compares settings; only a run of one can be rescored")
    if other := [line for line in changes if not line.startswith(_SECTION)]:
        raise ConfigError(
            f"only settings of {_SECTION}* can change without the images: {'; '.join(other)}"
        )
    if not changes and manifest.runs[-1]["engine"] != RESCORE:
        raise ConfigError(f"{manifest.out} has these scores already")
    before, after = (
        each["scoring"].get("min_score", 0.0) for each in (manifest.identity, identity)
    )
    if after < before:
        raise ConfigError(
            f"objects below scoring.min_score = {before} were not written; to have them, run "
            f"`ipseg segment` again into another folder"
        )
    if after > before and manifest.about.get("masks"):
        raise ConfigError(
            "leaving out objects changes the comparison with ground truth, which needs the images; "
            "run `ipseg segment` again into another folder"
        )


def _scored(table: pa.Table, method: Method, sha256: str) -> pa.Table:
    rows = [_row(row, method) for row in from_table(table.select(["objects", "metrics"]))]
    statuses = [
        status if status in BROKEN else "ok" if row["objects"] else "empty"
        for status, row in zip(table["row_status"].to_pylist(), rows, strict=True)
    ]
    changed = to_table(rows, ["objects", "metrics"])
    columns = {
        **{name: changed[name] for name in changed.column_names},
        "row_status": pa.array(statuses, pa.string()),
        "config_sha256": pa.array([sha256] * len(rows), pa.string()),
    }
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _row(row: Row, method: Method) -> Row:
    again = (method.scored_again(each) for each in row.get("objects", ()))
    objects = [each for each in again if each is not None]
    metrics = [{**metric, **_best(metric, objects)} for metric in row.get("metrics", ())]
    return {"objects": objects, "metrics": metrics}


def _best(metric: Row, objects: Sequence[Object]) -> Row:
    if metric["status"] != "ok":
        return {}
    place = (metric["concept"], metric["frame"])
    return scores_of([each for each in objects if (each.concept, each.frame) == place])


def _measure(manifest: Manifest) -> None:
    """What metrics.json says of scores, by the new ones."""
    out = manifest.out
    try:
        metrics = json.loads(read_bytes(f"{out}/metrics.json"))
    except FileNotFoundError:
        return
    metrics["suggested"] = suggested(out, manifest.about["concepts"])
    metrics["quality"] = quality_at(out, metrics["suggested"])
    write_whole(f"{out}/metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
