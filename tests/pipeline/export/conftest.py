"""One small run that has all that is hard to export, and the export of it in any format."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.config import load_config
from ipseg.objects import Object
from ipseg.rows import failed
from pipeline.export.export import export
from pipeline.export.request import Request
from pipeline.export.splits import Splits
from pipeline.export.writer import Options
from pipeline.labels.selection import select
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.sink import Provenance, ShardWriter

HEIGHT, WIDTH = 96, 128
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]


def disc(x, y, radius):
    return (_X - x) ** 2 + (_Y - y) ** 2 < radius**2


def box(x0, y0, x1, y1):
    return (x0 <= _X) & (x1 > _X) & (y0 <= _Y) & (y1 > _Y)


MASKS = {
    "disc": disc(50, 40, 30),
    "ring": disc(60, 48, 40) & ~disc(62, 50, 18),
    "two parts": disc(25, 30, 14) | disc(95, 60, 20),
    "one pixel": box(7, 9, 8, 10),
    "border": box(100, 50, 128, 96),
    "below": box(20, 20, 80, 70),
    "above": box(60, 40, 110, 90),
}
# key -> objects: mask, concept, score
OBJECTS = {
    "a disc.png": [("disc", "cup", 0.9)],
    "v1.0/ring.v2.jpg": [("ring", "cup", 0.8), ("one pixel", "ümlaut <b>", 0.7)],
    "deep/er/käse.png": [("two parts", "ümlaut <b>", 0.6)],
    "turned.jpg": [("border", "cup", 0.5)],
    "pair.png": [("below", "cup", 0.4), ("above", "ümlaut <b>", 0.95)],
    "empty.png": [],
}
FAILED = "broken.jpg"


def photo(seed):
    """(H, W, 3) uint8, smooth, so that JPEG hardly changes it."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    return np.array(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def write_photos(root):
    """Images by key, upright as they are seen; turned.jpg is stored turned."""
    seen = {}
    for number, key in enumerate(OBJECTS):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        seen[key] = photo(number)
        if key == "turned.jpg":  # orientation 6: to be turned clockwise
            exif = Image.Exif()
            exif[0x0112] = 6
            stored = Image.fromarray(np.ascontiguousarray(np.rot90(seen[key], 1)))
            stored.save(path, quality=98, subsampling=0, exif=exif)
        else:
            Image.fromarray(seen[key]).save(path, **({"quality": 98} if ".jpg" in key else {}))
    (root / FAILED).write_bytes(b"no image")
    return seen


@dataclass
class World:
    """A run folder, its images, and exports of it below `root`."""

    root: Path
    seen: dict
    labels = OBJECTS

    @property
    def out(self):
        return f"{self.root}/run"

    @property
    def images(self):
        return self.root / "photos"

    def row(self, key, objects):
        numbers: dict[str, int] = {}
        found = []
        for name, concept, score in objects:
            category = 1 if concept == "cup" else 2
            instance = numbers[concept] = numbers.get(concept, -1) + 1
            mask = MASKS[name] if isinstance(name, str) else name
            found.append(Object.of(concept, category, mask, score, instance=instance))
        return {
            **{"key": key, "shard": "s", "uri": f"{self.images}/{key}", "objects": found},
            **{"width": WIDTH, "height": HEIGHT, "metrics": [], "chain_errors": []},
        }

    def write(self, objects, broken=(FAILED,), concepts=("cup", "ümlaut <b>"), **about):
        """Writes rows into the run folder as a run does."""
        config = load_config("classical")
        said = {
            **{"profile": config.profile, "method": config.method_name, "config": config.resolved},
            **{"config_sha256": "c" * 64, "concepts": list(concepts), "row_is": "image"},
            **{"images": str(self.images), "bank": "bank", **about},
        }
        runs = [{"run_id": "r", "engine": "local", "started": "2026-01-01", "finished": "x"}]
        Manifest(self.out, {"prompts": {}}, said, runs).write()
        writer = ShardWriter(self.out, Provenance("r", "classical/classical", "c" * 64, ()))
        rows = [self.row(key, found) for key, found in objects.items()]
        bad = [failed(self.row(key, []), "decode", ValueError("no image")) for key in broken]
        writer.write([*rows, *bad])

    def export(self, kind, to=None, *, split=None, handling="copy", chosen=None, **options):
        """An export, and its folder."""
        splits = split if isinstance(split, Splits) else Splits.parse(split)
        selection = select(self.out, **(chosen or {}))
        request = Request(self.out, kind, selection, splits, handling, Options(**options))
        folder = self.root / (to or kind)
        return export(request, str(folder)), folder


def _digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def _iou(a, b):
    a, b = np.asarray(a) > 0, np.asarray(b) > 0
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.fixture(scope="session")
def files_of():
    """Function: folder -> sha256 of each file."""
    return _digests


@pytest.fixture(scope="session")
def iou():
    return _iou


@pytest.fixture(scope="session")
def masks():
    """Name -> (H, W) bool."""
    return MASKS


@pytest.fixture(scope="session")
def labelled():
    """Key -> (mask, concept, score) of each object."""
    return OBJECTS


@pytest.fixture(scope="session")
def said():
    """Function: folder of an export -> what export.json says."""
    return lambda folder: json.loads((folder / "export.json").read_text())


@pytest.fixture
def bare_world(tmp_path):
    """Images, and a run folder to write."""
    return World(tmp_path, write_photos(tmp_path / "photos"))


@pytest.fixture
def world(bare_world):
    """A run with six images, one of them empty, and a row that failed."""
    bare_world.write(OBJECTS)
    return bare_world


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Function: format, options -> (export, its folder) of the run of `world`; made once."""
    root = tmp_path_factory.mktemp("exported")
    made = World(root, write_photos(root / "photos"))
    made.write(OBJECTS)
    known = {}

    def of(kind, **options):
        name = "-".join([kind, *(f"{key}{value}" for key, value in options.items())])
        if name not in known:
            known[name] = made.export(kind, name.replace("/", "_"), **options)
        return known[name]

    of.world = made
    return of
