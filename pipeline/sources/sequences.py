"""Images of a folder as the frames of a sequence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from ipseg.rows import Row, is_failed
from ipseg.vision.video import is_video


def as_sequences(rows: Iterable[Row]) -> list[Row]:
    """One row for each folder, with the addresses of its images in natural order of their names.

    Args:
        rows: images (key, uri, maybe asks); the folder is all of a key but its last part. What an
            image is asked for is asked of its frame. A video file is a sequence by itself. Failed
            rows stay as they are.
    """
    folders: dict[str, list[Row]] = {}
    others: list[Row] = []
    for row in rows:
        if is_failed(row):
            others.append(row)
        elif is_video(row["uri"]):
            others.append({**row, "frame_uris": [row["uri"]]})
        else:
            folders.setdefault(sequence_of(row["key"]), []).append(row)
    return [*others, *(_sequence(key, frames) for key, frames in folders.items())]


def sequence_of(key: str) -> str:
    """Key of the sequence that an image is a frame of: its folder, "." where it lies in none."""
    return key.rpartition("/")[0] or "."


def _sequence(key: str, frames: list[Row]) -> Row:
    frames = sorted(frames, key=lambda row: (_natural(row["key"]), row["key"]))
    row: Row = {
        "key": key,
        "uri": frames[0]["uri"],
        "frame_uris": [frame["uri"] for frame in frames],
    }
    if any("version" in frame for frame in frames):
        row["version"] = _version(frames)
    asks = [
        {**ask, "frame": number} for number, f in enumerate(frames) for ask in f.get("asks") or ()
    ]
    return row | ({"asks": asks} if asks else {})


def _version(frames: list[Row]) -> str:
    """Changes when a frame is added, taken away or replaced."""
    known = "\n".join(f"{frame['key']} {frame.get('version', '')}" for frame in frames)
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _natural(name: str) -> list[Any]:
    """So that 10 comes after 9."""
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name)]
