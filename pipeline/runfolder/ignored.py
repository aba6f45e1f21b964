"""Files in a source that are no input of a run, counted by suffix or reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from ipseg.storage.files import read_bytes, write_whole
from ipseg.storage.walk import list_files
from ipseg.vision.heif import heif_hint
from ipseg.wording import counted
from pipeline.runfolder.folder import read_json


def write_ignored(out: str, shard: str, ignored: Mapping[str, int]) -> None:
    """Notes what was left out of a container file, when all of it was read."""
    if ignored:
        data = json.dumps(dict(ignored), indent=1) + "\n"
        write_whole(f"{out}/listing/{shard}.ignored.json", data.encode())


def read_ignored(out: str) -> dict[str, int]:
    """What was left out of a run so far, the most frequent first.

    Raises:
        OSError: it cannot be read.
    """
    manifest = read_json(f"{out}/manifest.json", []) or {}
    counts = Counter(manifest.get("ignored_files") or {})
    for file in list_files(f"{out}/listing", "*.ignored.json"):
        counts.update(json.loads(read_bytes(file)))
    return dict(counts.most_common())


def ignored_line(ignored: Mapping[str, int]) -> str:
    """`7 files left out: 4 .heic, 3 .txt`, or nothing; how they can be read, if they can."""
    if not ignored:
        return ""
    listed = ", ".join(f"{count:,} {what}" for what, count in ignored.items())
    total = counted(sum(ignored.values()), "file")
    return f"{total} left out: {listed}{heif_hint(ignored)}"
