"""One run from start to end: check everything, make the bank, stream the images, balance the books.

The same code drives both engines; they differ only in who executes the stages.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from ipseg.bank import PromptBank
from ipseg.columns import ERROR_COLUMNS
from ipseg.config import Config
from ipseg.errors import OutputError, PromptError, SourceError
from ipseg.methods import create_method
from ipseg.prompts import check_prompts, find_prompts
from ipseg.rows import Row, check_chain
from ipseg.steps.compare import CompareWithMasks
from ipseg.storage import filesystem
from pipeline.local_engine import LocalEngine
from pipeline.quality import measure_quality
from pipeline.sink import (
    SCHEMA_VERSION,
    STATUSES,
    Provenance,
    ShardWriter,
    check_writable,
    write_whole,
)
from pipeline.source import Columns, Source, open_source

if TYPE_CHECKING:
    from pipeline.ray_engine import RayEngine

log = logging.getLogger("ipseg")

Engine = Literal["ray", "local"]
SOURCE_COLUMNS = ("key", "shard", "uri", "image_bytes")
PROMPT_COLUMNS = ("key", "uri", "concept", "image_bytes", "mask_bytes")
BANK_COLUMNS = (
    *("key", "uri", "concept", "width", "height", "image_bytes"),
    *("description", "prompt_mask", "mask_source", "warning", "thumbnail"),
)
OUTPUT_COLUMNS = ("key", "shard", "uri", "width", "height", "objects")
PACKAGES = ("ipseg", "numpy", "opencv-contrib-python-headless", "pyarrow", "ray", "scikit-image")


@dataclass(frozen=True)
class Request:
    """What to segment, with what, and where to.

    Attributes:
        images: folder, glob or file; path or fsspec URL.
        out: run folder, path or fsspec URL.
        config: from `load_config`.
        prompts: folder of prompt images; this or `prompt_bank` must be given.
        prompt_bank: a bank saved by an earlier run.
        masks: ground truth to compare with, or None.
        columns: for Parquet sources.
        engine: 'ray', or 'local' for this process alone.
        overwrite: replace a run that is there already.
    """

    images: str
    out: str
    config: Config
    prompts: str | None = None
    prompt_bank: str | None = None
    masks: str | None = None
    columns: Columns = field(default_factory=Columns)
    engine: Engine = "ray"
    overwrite: bool = False


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        out: its folder.
        counts: rows by status.
        metrics: what metrics.json holds.
        warnings: about prompts.
    """

    out: str
    counts: dict[str, int]
    metrics: dict[str, Any]
    warnings: tuple[str, ...]


def segment(request: Request) -> Run:
    """Segments a collection and writes the run folder.

    Raises:
        IpsegError: something the caller can mend, found before any work is done where possible.
    """
    config, out = request.config, request.out.rstrip("/")
    prompts, bank = load_prompts(request)
    concepts = bank.names if bank else tuple(sorted({row["concept"] for row in prompts}))
    source = open_source(request.images, request.columns)
    if source.rows == 0:
        raise SourceError(f"{request.images} has no rows")
    by_concept = _masks_by_concept(request.masks, concepts)
    check_writable(out)
    _make_room(out, overwrite=request.overwrite)

    method = create_method(config)
    started, clock = datetime.now(UTC), time.perf_counter()
    with _engine(request) as engine:
        if bank is None:
            log.info("describing %d prompt images", len(prompts))
            steps = method.prompt_steps()
            check_chain(steps, PROMPT_COLUMNS)
            bank = method.bank(engine.collect(steps, prompts, PROMPT_COLUMNS, BANK_COLUMNS))
        for warning in bank.warnings:
            log.warning("%s", warning)
        write_whole(f"{out}/prompt_bank.parquet", bank.to_parquet())
        provenance = Provenance(
            run_id=f"{started:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}",
            model=f"{config.method}/{config.profile}",
            config_sha256=config.sha256,
            prompt_ids=tuple(bank.prompt_ids),
        )
        manifest = _manifest(request, source, bank, provenance, started)
        write_whole(f"{out}/manifest.json", _json(manifest))
        steps, wanted = method.image_steps(bank), [*OUTPUT_COLUMNS]
        if request.masks is not None:
            steps.append(CompareWithMasks(request.masks, bank.names, by_concept))
            wanted.append("metrics")
        check_chain(steps, SOURCE_COLUMNS)
        images_clock = time.perf_counter()
        given = (*SOURCE_COLUMNS, *ERROR_COLUMNS)
        counts = engine.write(steps, source, given, wanted, ShardWriter(out, provenance))
        images_seconds = time.perf_counter() - images_clock
        read, stages = engine.record.rows_read(), engine.record.summary()
    books = {status: counts.get(status, 0) for status in STATUSES}
    if sum(books.values()) != read:
        raise OutputError(f"{read} rows were read but {sum(books.values())} written to {out}")
    if read == 0:
        raise SourceError(f"no image in {request.images}")
    metrics = {
        "rows": books,
        "seconds": round(time.perf_counter() - clock, 3),
        "images_seconds": round(images_seconds, 3),
        "images_per_second": round(read / images_seconds, 3),
        "stages": stages,
        "quality": measure_quality(out) if request.masks is not None else None,
        "baselines": None,
    }
    write_whole(f"{out}/metrics.json", _json(metrics))
    manifest |= {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "counts": books}
    write_whole(f"{out}/manifest.json", _json(manifest))
    return Run(out, books, metrics, tuple(bank.warnings))


def _engine(request: Request) -> LocalEngine | RayEngine:
    if request.engine == "local":
        return LocalEngine(request.config.runtime)
    from pipeline.ray_engine import RayEngine  # importing Ray takes a second

    return RayEngine(request.config.runtime)


def load_prompts(request: Request) -> tuple[list[Row], PromptBank | None]:
    """Prompt rows, checked, or a bank that fits the configuration.

    Raises:
        PromptError: nothing usable is there; names the file.
    """
    if (request.prompts is None) == (request.prompt_bank is None):
        raise PromptError("give either a folder of prompt images or a prompt bank")
    if request.prompt_bank is not None:
        bank = PromptBank.read(request.prompt_bank)
        bank.check_settings(request.config, request.prompt_bank)
        return [], bank
    rows = find_prompts(str(request.prompts))
    check_prompts(rows, request.config.images)
    return rows, None


def _masks_by_concept(masks: str | None, concepts: Sequence[str]) -> bool:
    """Whether the ground truth has a folder for each concept, or is flat for a single one."""
    if masks is None:
        return False
    fs, root = filesystem(masks.rstrip("/"))
    if not fs.isdir(root):
        raise SourceError(f"mask folder {masks} does not exist")
    missing = [name for name in concepts if not fs.isdir(f"{root}/{name}")]
    if not missing:
        return True
    if len(concepts) == 1:
        return False
    raise SourceError(
        f"{masks} has no folder '{missing[0]}'; with several concepts, masks are "
        f"{masks}/<concept>/<key>.png"
    )


def _make_room(out: str, *, overwrite: bool) -> None:
    fs, root = filesystem(out)
    old = [path for path in fs.glob(f"{root}/shard=*") if fs.isdir(path)]
    if not old:
        return
    if not overwrite:
        raise OutputError(f"{out} holds a run already; choose another folder, or use --overwrite")
    for path in old:
        fs.rm(path, recursive=True)


def _manifest(
    request: Request, source: Source, bank: PromptBank, provenance: Provenance, started: datetime
) -> dict[str, Any]:
    config = request.config
    return {
        "run_id": provenance.run_id,
        "schema_version": SCHEMA_VERSION,
        "profile": config.profile,
        "method": config.method,
        "config": config.resolved,
        "config_sha256": config.sha256,
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in PACKAGES},
        },
        "concepts": list(bank.names),
        "prompt_ids": bank.prompt_ids,
        "images": request.images,
        "source_kind": source.kind,
        "ignored_files": source.ignored,
        "masks": request.masks,
        "engine": request.engine,
        "started": started.isoformat(timespec="seconds"),
        "finished": None,
        "counts": None,
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=False) + "\n").encode()
