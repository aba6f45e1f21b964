"""`ipseg export` as a function: two passes over the rows of a run, in memory that does not grow.

The first pass counts and gives numbers and names, the second writes. An export is complete when
TO/export.json is there; started again, it is written again, and with the same run and arguments to
the same bytes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from ipseg.errors import ConfigError, OutputError
from ipseg.storage.files import info, is_local, write_whole
from ipseg.vision.images import ImageLimits
from pipeline.export.ahead import made_ahead
from pipeline.export.card import write_card
from pipeline.export.exported import Exported
from pipeline.export.folder import EXPORT, earlier_run, make_room
from pipeline.export.frames import Frames, LabelledImage
from pipeline.export.ids import Ids, annotation_hash, image_hash
from pipeline.export.images import UNREADABLE, Taken, place, refer, take
from pipeline.export.names import Names
from pipeline.export.progress import followed
from pipeline.export.request import Request
from pipeline.export.tally import Side, Tally
from pipeline.export.writer import EMPTY_MASKS, About, Annotation, Entry, Writer
from pipeline.labels.categories import categories
from pipeline.labels.review import Review
from pipeline.labels.selection import LabelledRow, read_labels
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import column_names, count_rows, part_files

log = logging.getLogger("ipseg")


def preview(request: Request) -> Exported:
    """What an export would have, without writing anything or reading an image.

    Raises:
        IpsegError: it could not be made; as `export`.
    """
    source = _Source(request, request.checked())
    tally, concepts = source.counted(Ids(), source.names()), source.concepts()
    return Exported(
        *(None, tally, tuple(concepts), _some(source.lost)), stale_rules=source.stale_rules
    )


def export(request: Request, to: str) -> Exported:
    """Writes the labels of a run in a format of other tools.

    Args:
        request: what.
        to: folder, path or fsspec URL; a new one, or that of an earlier export in this format,
            which is replaced and whose numbers are kept.

    Raises:
        ConfigError: choices that do not go together.
        OutputError: there is no run, its rows cannot be read, or something else is at `to`.
        OSError: it cannot be written.
    """
    to, writer = to.rstrip("/"), request.writer
    manifest = request.checked()
    _check_place(to, request.out)
    source = _Source(request, manifest)
    ids = Ids.read(to, request.format)
    run = manifest.runs[0]["run_id"]  # its first start: going on with a run does not change it
    other_run = earlier_run(to) not in (None, run)
    make_room(to, writer)
    names = source.names()
    planned = source.counted(ids, names)
    ids.add_concepts(source.concepts())
    _check_number(writer, ids)
    about = About(
        to=to,
        categories=ids.categories,
        options=request.options,
        images={name: side.images for name, side in planned.sides.items()},
        refers=request.handling == "refer",
        model=f"{manifest.about['method']}/{manifest.about['profile']}",
        config_sha256=manifest.about["config_sha256"],
        score_kind="score of the method, not a probability unless the run is calibrated",
    )
    ids_sha256 = ids.write(to, request.format)
    tally = source.written(ids, names, about, list(planned.sides))
    about.lost.update(source.lost)
    for name, data in writer.of_all_sides(about, list(tally.sides)).items():
        write_whole(f"{to}/{name}", data)
    write_card(about, request, manifest, tally)
    if is_local(to):
        os.sync()  # the small files are safe before it is said that they are there
    said = {"run": run, **_said(request, about, tally, ids_sha256)}
    write_whole(f"{to}/{EXPORT}", (json.dumps(said, indent=1) + "\n").encode())
    lost = _some(about.lost)
    return Exported(to, tally, tuple(ids.categories), lost, other_run, source.stale_rules)


class _Source:
    """The rows of a run as they are exported."""

    def __init__(self, request: Request, manifest: Manifest) -> None:
        self._request = request
        self._manifest = manifest
        self._frames = Frames(request.out, manifest.about.get("row_is") == "sequence")
        self._limits = ImageLimits(**manifest.about["config"]["images"])
        # Reading the beginning of a local file takes less time than handing it to a thread.
        self._waits = request.handling != "refer" or not is_local(manifest.about["images"])
        _check_columns(request.out, request.splits.carried)
        self._total = sum(map(count_rows, part_files(request.out)))
        self._review = Review.read(request.out)
        self.stale_rules = self._review.stale_rules
        self.lost: dict[str, int] = {}

    def concepts(self) -> list[str]:
        """All that the run looks for and people named, in order of their numbers."""
        return list(categories(self._request.out, self._review.decisions))

    def names(self) -> Names:
        """Of files in the format."""
        writer = self._request.writer
        return Names(flat=writer.flat, reserved=writer.reserved)

    def counted(self, ids: Ids, names: Names) -> Tally:
        """Counts all, and gives numbers and names."""
        tally, empty_masks = self._empty_tally(), 0
        for row, side in self._rows("counting", tally):
            for image in self._frames.of(row):
                names.add(image.key)
                ids.images.add(image_hash(image.row_key, image.frame))
                for each in image.objects:
                    ids.annotations.add(annotation_hash(image.row_key, each))
                tally.add(side, image.objects, reviewed=row.reviewed)
                empty_masks += image.empty_masks
        names.settle()
        ids.images.assign()
        ids.annotations.assign()
        self.lost = {EMPTY_MASKS: empty_masks}
        return tally

    def written(self, ids: Ids, names: Names, about: About, sides: list[str]) -> Tally:
        """Writes all images and labels; what could not be read is left out and counted."""
        tally, request = self._empty_tally(), self._request
        tally.sides = {name: Side() for name in sides}
        images = (
            (row, side, image)
            for row, side in self._rows("exporting", tally)
            for image in self._frames.of(row)
        )

        def taken(each: tuple[LabelledRow, str, LabelledImage]) -> Taken | Exception:
            try:
                return self._taken(about, names, each[1], each[2])
            except UNREADABLE as error:
                return error

        by_name = about.refers and not request.writer.by_path
        with ExitStack() as stack:
            writers = {side: stack.enter_context(request.writer(side, about)) for side in sides}
            for (row, side, image), found in made_ahead(images, taken, self._waits):
                if isinstance(found, Exception):
                    tally.leave_out(image.key, found)
                    continue
                tally.encoded_again += found.encoded_again
                tally.add(side, image.objects, reviewed=row.reviewed)
                writers[side].add(_entry(image, found, ids, names.of(image.key), refers=by_name))
        return tally

    def _taken(self, about: About, names: Names, side: str, image: LabelledImage) -> Taken:
        writer, handling = self._request.writer, self._request.handling
        if not writer.folder:
            if handling == "refer":
                return Taken(refer(image.original), None)
            return take(image.original, self._limits, jpeg=writer.jpeg)
        folder = writer.folder.format(side=side)
        address = f"{about.to}/{folder}/{names.of(image.key)}"
        return place(image.original, address, handling, self._limits, jpeg=writer.jpeg)

    def _rows(self, label: str, tally: Tally) -> Iterator[tuple[LabelledRow, str]]:
        """Rows that have not failed, with their sides."""
        request = self._request
        rows = read_labels(request.out, request.selection, request.splits.carried)
        for row in followed(label, rows, self._total):
            tally.vanished += len(row.vanished)
            tally.undecided += row.undecided
            tally.disputed += row.disputed
            if row.failed:
                tally.failed += 1
            else:
                yield row, request.splits.side(row.key, row.record)

    def _empty_tally(self) -> Tally:
        splits = self._request.splits
        sides = {} if splits.column is not None else {name: Side() for name in splits.shares}
        return Tally(sides, unfinished=not self._manifest.runs[-1].get("finished", True))


def _entry(image: LabelledImage, taken: Taken, ids: Ids, stem: str, *, refers: bool) -> Entry:
    key, original = image.key, image.original
    name = f"{stem}{taken.suffix}"
    if refers:
        name = key if original.uri.endswith(f"/{key}") else original.uri
    return Entry(
        id=ids.images.of(image_hash(image.row_key, image.frame)),
        key=key,
        name=name,
        stem=stem,
        uri=original.uri,
        width=original.width,
        height=original.height,
        objects=tuple(
            Annotation(
                ids.annotations.of(annotation_hash(image.row_key, each)),
                ids.categories[each.concept],
                each,
            )
            for each in image.objects
        ),
        data=taken.data,
    )


def _check_columns(out: str, names: tuple[str, ...]) -> None:
    (first, *_) = part_files(out)
    for name in names:
        if name not in column_names(first):
            raise ConfigError(
                f"the run has no column '{name}'; take it along with `ipseg segment --carry {name}`"
            )


def _check_place(to: str, out: str) -> None:
    places = [os.path.abspath(each) if is_local(each) else each for each in (to, out)]  # noqa: PTH100
    if f"{places[0]}/".startswith(f"{places[1]}/"):
        raise OutputError(f"{to} is in the run folder {out}; choose a folder of its own")


def _check_number(writer: type[Writer], ids: Ids) -> None:
    most = writer.most_categories
    if most is not None and len(ids.categories) > most:
        raise ConfigError(
            f"format {writer.name} can hold {most} concepts, there are {len(ids.categories)}"
        )


def _some(lost: Mapping[str, int]) -> dict[str, int]:
    """What was lost at all."""
    return {kind: number for kind, number in sorted(lost.items()) if number}


def _said(request: Request, about: About, tally: Tally, ids_sha256: str) -> dict[str, Any]:
    """What export.json says; nothing that changes when it is made again."""
    return {
        **request.arguments(),
        "config_sha256": about.config_sha256,
        "model": about.model,
        "categories": dict(about.categories),
        "ids_sha256": ids_sha256,
        "counts": tally.record(),
        "lost": _some(about.lost),
        "files": [
            {"name": name, "bytes": (info(f"{about.to}/{name}") or {}).get("size")}
            for name in sorted(about.files)
        ],
    }
