"""The folder of an export: only what an earlier export wrote is ever removed from it."""

from __future__ import annotations

from pathlib import Path

from ipseg.errors import OutputError
from ipseg.storage.files import exists, filesystem, is_folder, is_local, remove
from ipseg.storage.retry import with_retry
from pipeline.export.ids import FILE as IDS
from pipeline.export.writer import Writer
from pipeline.runfolder.sink import check_writable

EXPORT = "export.json"  # written last
CARD = "README.md"


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
    for name in (EXPORT, CARD, *writer.owns):  # without the first it is not complete
        address = f"{to}/{name}"
        if is_folder(address):
            with_retry(address, lambda path=f"{root}/{name}": fs.rm(path, recursive=True))
        elif exists(address):
            remove(address)
    if is_local(to):
        for left in Path(root).glob(".*.tmp"):  # of one that was killed
            left.unlink()
