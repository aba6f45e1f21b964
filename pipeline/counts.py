"""The numbers of a run that counted: a table with a line for each image and concept, and maps."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ipseg.crowd import confirmed
from ipseg.errors import ConfigError
from ipseg.storage.files import write_whole
from ipseg.storage.tables import write_table
from pipeline.export.names import Names
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import read_placed, read_rows

COUNTS = pa.schema(
    [
        ("key", pa.string()),
        ("uri", pa.string()),
        ("concept", pa.string()),
        # As the counter reports it, 0 where nothing was outlined; null where the row failed.
        ("count", pa.float64()),
        ("density_sum", pa.float64()),
        ("instances", pa.int64()),  # that were outlined
        ("status", pa.string()),  # ok, empty (none of it was outlined), failed or poisoned
        ("notes", pa.string()),  # why there is less than there could be
        ("error_message", pa.string()),
        ("density", pa.string()),  # file of the map, below the run folder
    ]
)
CSV, PARQUET, FOLDER = "counts.csv", "counts.parquet", "density"
_ROW = ("key", "uri", "row_status", "error_message", "objects", "crowds")
_UNREAD = tuple(
    f"{column}.list.element.{name}"
    for column, names in (
        ("objects", ("segmentation", "points", "evidence", "bbox")),
        ("crowds", ("named", "gate", "exemplars", "points", "around", "shape")),
    )
    for name in names
)
_AT_ONCE = 16  # maps that are written
_LINES = 65_536  # in one block of a table


@dataclass(frozen=True)
class Counted:
    """What was written.

    Attributes:
        table: schema `COUNTS`, sorted by key and concept.
        maps: density images.
    """

    table: pa.Table
    maps: int

    def concepts(self) -> dict[str, dict[str, Any]]:
        """Concept -> `images` that were counted, `count` and `instances`, sums over them."""
        good = self.table.filter(pc.is_valid(self.table["count"]))
        of = good.group_by("concept").aggregate(
            [([], "count_all"), ("count", "sum"), ("instances", "sum")]
        )
        return {
            each["concept"]: {
                "images": each["count_all"],
                "count": each["count_sum"],
                "instances": each["instances_sum"],
            }
            for each in of.sort_by("concept").to_pylist()
        }


def keeps_maps(out: str, *, wanted: bool) -> bool:
    """Whether the rows of a run keep density maps: those of an earlier run there, or as wanted.

    Args:
        out: run folder, new or of a run to go on with.
        wanted: density maps are to be written.

    Raises:
        ConfigError: they are wanted, and an earlier run there kept none.
        OutputError: an earlier run cannot be read.
    """
    earlier = Manifest.read(out.rstrip("/"))
    if earlier is None:
        return wanted
    kept = bool(earlier.about["config"].get("persense", {}).get("density"))
    if wanted and not kept:
        raise ConfigError(
            f"{out} was counted without density maps: give --no-maps as well, choose another "
            f"--out, or start over with --overwrite"
        )
    return kept


def write_counts(out: str, concepts: Sequence[str], *, maps: bool) -> Counted:
    """Writes OUT/counts.csv, OUT/counts.parquet and, if wanted, OUT/density/<concept>/<key>.png.

    Args:
        out: folder of a run whose rows have crowds, and densities where maps are wanted.
        concepts: that were looked for.
        maps: write the density maps.

    Raises:
        OutputError: there is no such run.
        OSError: something cannot be written.
    """
    names = Names()
    if maps:
        for row in read_rows(out, ["key"]):
            names.add(row["key"])
        names.settle()
    blocks, lines, written = [COUNTS.empty_table()], list[dict[str, Any]](), 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _, row in read_placed(out, _ROW, without=_UNREAD):
            drawn = {}
            for crowd in row["crowds"] if maps else ():
                if crowd["density"] is not None:
                    drawn[crowd["concept"]] = _place(names, crowd["concept"], row["key"])
            data = {c["concept"]: c["density"] for c in row["crowds"] or ()}
            files = [(f"{out}/{file}", data[name]) for name, file in drawn.items()]
            written += len(list(pool.map(lambda each: write_whole(*each), files)))
            lines += _lines(row, concepts, drawn)
            if len(lines) >= _LINES:
                blocks.append(pa.Table.from_pylist(lines, COUNTS))
                lines = []
    blocks.append(pa.Table.from_pylist(lines, COUNTS))
    table = pa.concat_tables(blocks).sort_by([("key", "ascending"), ("concept", "ascending")])
    text = io.BytesIO()
    pa_csv.write_csv(table, text)
    write_whole(f"{out}/{CSV}", text.getvalue())
    write_table(f"{out}/{PARQUET}", table)
    return Counted(table, written)


def _lines(
    row: Mapping[str, Any], concepts: Sequence[str], drawn: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    crowds = {crowd["concept"]: crowd for crowd in row["crowds"] or ()}
    for concept in concepts:
        about = {"key": row["key"], "uri": row["uri"], "concept": concept}
        about |= {"status": row["row_status"], "error_message": row["error_message"]}
        crowd = crowds.get(concept)
        if row["row_status"] in BROKEN or crowd is None:
            yield about
            continue
        found = sum(each["concept"] == concept for each in row["objects"])
        yield {
            **about,
            "count": confirmed(crowd["count"], found),
            "density_sum": crowd["total"],
            "instances": found,
            "status": "ok" if found else "empty",
            "notes": "; ".join(crowd["notes"]) or None,
            "density": drawn.get(concept),
        }


def _place(names: Names, concept: str, key: str) -> str:
    folder = Names()  # a concept may be called anything, too
    return f"{FOLDER}/{folder.of(concept)}/{names.of(key)}.png"
