"""The folder of an export: only what an earlier export wrote is ever removed from it."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

from ipseg.errors import OutputError
from ipseg.storage.files import exists, filesystem, is_folder, read_bytes
from ipseg.storage.retry import with_retry
from pipeline.export.ids import FILE as IDS
from pipeline.export.writer import Writer
from pipeline.runfolder.sink import check_writable

EXPORT = "export.json"  # written last
CARD = "README.md"


def earlier_run(to: str) -> str | None:
    """Id of the run whose complete export is there; None if there is none, or it does not say."""
    try:
        said = json.loads(read_bytes(f"{to}/{EXPORT}"))
    except (FileNotFoundError, ValueError):
        return None
    return said.get("run") if isinstance(said, dict) else None


def make_room(to: str, writer: type[Writer]) -> None:
    """Removes what an earlier export of the same format has written, but for its numbers.

    Raises:
        OutputError: something else is there, or it cannot be written to.
    """
    fs, root = filesystem(to)
    fs.invalidate_cache()
    ours = exists(f"{to}/{IDS}")
    if not ours and is_folder(to) and with_retry(to, lambda: fs.ls(root, detail=False)):
        raise OutputError(
            f"{to} is not empty, and holds no export that could be replaced; choose another --to"
        )
    check_writable(to)
    if not ours:
        return
    listed = with_retry(to, lambda: fs.ls(root, detail=True))
    names = {entry["name"].rstrip("/").rpartition("/")[2]: entry["type"] for entry in listed}
    # Without the first it is not complete any more; the last is of an export that was killed.
    for pattern in (EXPORT, CARD, *writer.owns, ".*.tmp"):
        for name in fnmatch.filter(names, pattern):
            _remove(fs, f"{root}/{name}", names[name] == "directory")


def _remove(fs: Any, path: str, is_directory: bool) -> None:  # noqa: ANN401
    with_retry(path, lambda: fs.rm(path, recursive=is_directory))
