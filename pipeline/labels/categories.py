"""Numbers of concepts: those of the run, continued for names that only people gave."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc

from ipseg.errors import PromptError
from pipeline.labels.decisions import Decision
from pipeline.runfolder.bank import bank_of, category_ids
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import part_files, read_batches

_NAMES = ("concept", "category_id")


def categories(out: str, decisions: Iterable[Decision]) -> dict[str, int]:
    """Concept -> category id, from 1, in their order.

    A concept keeps its number when others are added to the run, or named in a review: new names
    take the next ones in the order in which they were first given.

    Args:
        out: run folder; one without a run has no concepts of its own.
        decisions: that hold, in the order in which they do.

    Raises:
        OutputError: the run cannot be read.
    """
    manifest = Manifest.read(out.rstrip("/"))
    known = {} if manifest is None else _of_run(manifest)
    for name in dict.fromkeys(each.relabel for each in decisions if each.relabel is not None):
        known.setdefault(name, max(known.values(), default=0) + 1)
    return dict(sorted(known.items(), key=lambda each: each[1]))


def _of_run(manifest: Manifest) -> dict[str, int]:
    try:
        return category_ids(bank_of(manifest.out, manifest.about))
    except PromptError:  # a bank of another run may be gone; its numbers are in the rows
        known = _in_rows(manifest.out)
        for name in manifest.about["concepts"]:
            known.setdefault(name, max(known.values(), default=0) + 1)
        return known


def _in_rows(out: str) -> dict[str, int]:
    known: dict[str, int] = {}
    columns = ["objects"]
    heavy = tuple(
        f"objects.list.element.{name}" for name in ("segmentation", "points", "bbox", "evidence")
    )
    for part in part_files(out):
        for batch in read_batches(part, columns, without=heavy):
            objects = pc.list_flatten(batch["objects"])
            fields = (pc.struct_field(objects, name).to_pylist() for name in _NAMES)
            known.update(zip(*fields, strict=True))
    return known
