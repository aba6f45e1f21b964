"""What was found in videos as the servers of benchmarks take it: label maps as PNG, frame by frame.

OUT/submission[/LABEL]/Annotations/<video>/<frame>.png: the index is the number of the object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ipseg.objects import Object
from ipseg.storage.streams import write_one
from ipseg.vision.painting import painted
from pipeline.evaluate import Evaluation, entry_of
from pipeline.export.formats.png import index_png
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import read_rows

SUBMISSION = "submission"


def write_submission(work: Evaluation) -> dict[str, int]:
    """Writes the label maps of all videos that did not fail, support frames included.

    Where masks overlap, the one with the higher score has the pixel.

    Returns:
        Folder -> label maps in it; one folder for each variant.

    Raises:
        OSError: they cannot be written.
    """
    numbers = {entry_of(each): int(each.class_name.rpartition("/")[2]) for each in work.episodes}
    frames = {row["key"]: row["frame_uris"] for row in work.rows}
    root = f"{work.out}/{SUBMISSION}"
    folders = {n: f"{root}/{n.replace('/', '-')}".rstrip("/") for n in work.variants}
    written = dict.fromkeys(folders.values(), 0)
    for row in read_rows(work.out, ("key", "row_status", "objects", "width", "height")):
        if row["row_status"] in BROKEN:
            continue
        size = (row["height"], row["width"])
        for label, folder in folders.items():
            found = [o for o in map(Object.from_record, row["objects"]) if o.variant == label]
            for index, uri in enumerate(frames[row["key"]]):
                labels = _labels([o for o in found if o.frame == index], numbers, size)
                stem = uri.rpartition("/")[2].rpartition(".")[0]
                video = row["key"].rpartition("/")[2]
                write_one(f"{folder}/Annotations/{video}/{stem}.png", index_png(labels))
                written[folder] += 1
    return written


def _labels(
    objects: Sequence[Object], numbers: Mapping[str, int], size: tuple[int, int]
) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """(H, W): numbers of the objects of a frame, 0 where there is none."""
    places = painted([o.segmentation for o in objects], [o.score for o in objects], *size)
    return np.array([0, *(numbers[o.concept] for o in objects)], np.uint16)[places]
