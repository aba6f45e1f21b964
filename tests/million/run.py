"""An export of a million rows: memory, and the same bytes after a kill half way.

    python tests/million/run.py --rows 1000000 --formats coco yolo-seg

Each export runs in a process of its own, whose memory is measured from the moment when all is
imported and a small run has been exported. Then another one is killed half way, started again, and
compared with the first byte by byte. Exit code 1 if memory grows by 200 MB or a byte differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

from ipseg.config import load_config
from ipseg.objects import Object
from pipeline.export.export import export
from pipeline.export.request import Request
from pipeline.export.splits import Splits
from pipeline.labels.selection import select
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.sink import Provenance, ShardWriter

MOST_BYTES = 200 * 10**6
SIDE = 64  # pixels
_PART, _SHARD = 2000, 50_000  # rows
_CONCEPTS = ("cat", "cup", "hat")


@dataclass(frozen=True)
class Outcome:
    """One format.

    Attributes:
        kind: the format.
        seconds: of the whole export.
        grown: bytes by which the process grew, at most.
        grown_again: the same of the one that was started again after a kill.
        files: in the export.
        same: whether a killed one, started again, has the same bytes.
        killed_after: seconds.
    """

    kind: str
    seconds: float
    grown: int
    grown_again: int
    files: int
    same: bool
    killed_after: float

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.kind}: {self.seconds:.0f} s, memory + {self.grown / 1e6:.0f} MB, "
            f"{self.files:,} files; killed after {self.killed_after:.0f} s and started again: "
            f"memory + {self.grown_again / 1e6:.0f} MB, "
            f"{'the same bytes' if self.same else 'OTHER BYTES'}"
        )


def make_run(folder: Path, rows: int) -> str:
    """Writes a run of so many rows, all of one image, with 0 to 3 small objects each."""
    out, photo = folder / "run", folder / "photo.png"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(photo)
    config = load_config("classical")
    about = {
        **{"profile": config.profile, "method": config.method_name, "config": config.resolved},
        **{"config_sha256": "0" * 64, "concepts": list(_CONCEPTS), "row_is": "image"},
        **{"images": str(folder), "bank": "bank"},
    }
    writer = ShardWriter(str(out), Provenance("r", "classical", "0" * 64, ()))
    objects = list(_patterns())
    for start in range(0, rows, _PART):
        table = [
            {
                **{"key": f"{number % 997:03}/{number:07}.png", "uri": str(photo)},
                **{"shard": f"{number // _SHARD:04}", "width": SIDE, "height": SIDE},
                **{"objects": objects[number % len(objects)], "metrics": [], "chain_errors": []},
            }
            for number in range(start, min(rows, start + _PART))
        ]
        writer.write(table)
    runs = [{"run_id": "r", "engine": "local", "started": "2026-01-01", "finished": "x"}]
    Manifest(str(out), {"prompts": {}}, about, runs).write()
    return str(out)


def _patterns() -> Iterator[list[Object]]:
    y, x = np.mgrid[:SIDE, :SIDE]
    rng = np.random.default_rng(0)
    for count in (0, 1, 1, 1, 2, 1, 3):
        found = []
        for which in range(count):
            mask = (x - rng.integers(10, 54)) ** 2 + (y - rng.integers(10, 54)) ** 2 < 90
            found.append(
                Object.of(_CONCEPTS[which], which + 1, mask, float(rng.uniform(0.1, 0.99)))
            )
        yield found


def measured(out: str, small: str, kind: str, to: str) -> int:
    """Exports a run in this process; returns by how many bytes it grew, at most."""
    splits = Splits.parse("train=0.8,val=0.2")

    def go(run: str, folder: str) -> None:
        export(Request(run, kind, select(run), splits, "refer"), folder)

    go(small, f"{to}-small")
    shutil.rmtree(f"{to}-small")
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # the highest value begins anew
    go(out, to)
    status = Path("/proc/self/status").read_text()
    highest = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return highest - before


def tried(folder: Path, out: str, small: str, kind: str) -> Outcome:
    """Exports twice, the second time with a kill in between."""
    whole, again = (str(folder / f"{kind}-{name}") for name in ("whole", "again"))
    begun = time.monotonic()
    grown = json.loads(_start(out, small, kind, whole).communicate()[0])
    seconds = time.monotonic() - begun
    killed = _start(out, small, kind, again)
    half = seconds / 2
    try:
        killed.wait(half)
    except subprocess.TimeoutExpired:
        killed.send_signal(signal.SIGKILL)
    if killed.wait() != -signal.SIGKILL:
        raise RuntimeError("it had ended before it could be killed")
    if (Path(again) / "export.json").exists():
        raise RuntimeError("an export that was killed says that it is complete")
    grown_again = json.loads(_start(out, small, kind, again).communicate()[0])
    first, second = (dict(_digests(Path(each))) for each in (whole, again))
    for each in (whole, again):
        shutil.rmtree(each)
    return Outcome(kind, seconds, grown, grown_again, len(first), first == second, half)


def _start(out: str, small: str, kind: str, to: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", __file__, "--child", out, small, kind, to]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )


def _digests(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "md5").digest()
            relative = str(path.relative_to(folder)).encode()
            yield hashlib.blake2b(relative, digest_size=16).digest(), digest


def main() -> None:
    """Makes a run, exports it, prints a line for each format."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["coco", "yolo-seg"])
    parser.add_argument("--folder", type=Path, default=None, help="kept; default: a temporary one")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(measured(*given.child))  # noqa: T201
        return
    with TemporaryDirectory(prefix="ipseg-million-") as temporary:
        folder = given.folder or Path(temporary)
        small = make_run(folder / "small", 2000)
        out = str(folder / "large" / "run")
        if not Path(out, "manifest.json").exists():
            out = make_run(folder / "large", given.rows)
        outcomes = []
        for kind in given.formats:
            outcomes.append(tried(folder, out, small, kind))
            print(outcomes[-1], flush=True)  # noqa: T201
    wrong = [
        each
        for each in outcomes
        if max(each.grown, each.grown_again) >= MOST_BYTES or not each.same
    ]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
