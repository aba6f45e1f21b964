"""Finding weights on this machine, and checking them."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ipseg.errors import WeightsError
from ipseg.networks.models import Models
from ipseg.weights.catalogue import FILES, OPTIONAL, Layout, Need, folder_layout, needs

if TYPE_CHECKING:
    from ipseg.config import Config

TINY_MARK = "tiny-weights.json"
"""Name of the file that marks a folder of tiny random weights."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightFile:
    """One file of a set of weights.

    Attributes:
        name: path below the folder, or file name.
        path: its location.
        published: sha256 from its publisher: 64 digits, the first ones, or "" if unknown.
    """

    name: str
    path: Path
    published: str

    def sha256(self) -> str:
        """64 hex digits of the content; cached until the file changes."""
        about = self.path.stat()
        return _sha256(self.path, about.st_size, about.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    del size, modified  # only for the cache
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Found:
    """One set of weights that a profile needs, on this machine.

    Attributes:
        need: the needed weights.
        location: file or folder; None if not found.
        where: 'hub cache', 'folder', 'file' or 'tiny' (random weights); '' if not found.
        revision: commit on the hub, if known.
        files: existing files.
        missing: names of missing files.
    """

    need: Need
    location: Path | None
    where: str
    revision: str
    files: tuple[WeightFile, ...]
    missing: tuple[str, ...]

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(file.path.stat().st_size for file in self.files)

    @property
    def complete(self) -> bool:
        """Whether all files exist."""
        return self.location is not None and not self.missing


def find(need: Need, models: Models) -> Found:
    """Finds weights by `Models.locate`."""
    try:
        location = Path(models.locate(need.name, need.source.revision))
    except WeightsError:
        names = FILES[need.source.layout] or (need.name,)
        return Found(need, None, "", "", (), tuple(n for n in names if n not in OPTIONAL))
    if not location.is_dir():
        tiny = _tiny_sums(models, location)
        published = need.source.sha256 if tiny is None else tiny.get(location.name, "")
        file = WeightFile(location.name, location, published)
        return Found(need, location, "file" if tiny is None else "tiny", "", (file,), ())
    layout = need.source.layout
    if layout == "file":  # a folder made by the user
        layout = folder_layout(need.parts)
    files, missing = _folder(location, layout)
    in_cache = location.parent.name == "snapshots"
    where = "hub cache" if in_cache else "folder"
    revision = location.name if in_cache else ""
    if (tiny := _tiny_sums(models, location)) is not None:
        where = "tiny"
        root = Path(models.root or "").expanduser().resolve()
        files = [
            WeightFile(f.name, f.path, tiny.get(str(f.path.resolve().relative_to(root)), ""))
            for f in files
        ]
    elif not in_cache:
        revision = next(filter(None, (_downloaded(location, f.name)[0] for f in files)), "")
    return Found(need, location, where, revision, tuple(files), tuple(missing))


def random_weights(config: Config) -> list[str]:
    """Names of the weights that a configuration finds tiny and random."""
    found = (find(need, config.models) for need in needs(config.resolved))
    return [each.need.name for each in found if each.where == "tiny"]


def random_sentence(names: Sequence[str]) -> str:
    """What to expect of masks made with such weights; "" without any."""
    return f"RANDOM WEIGHTS, masks and scores mean nothing: {', '.join(names)}" if names else ""


@dataclass(frozen=True)
class Checked:
    """The result of reading weights.

    Attributes:
        sha256: name of each file with tensors -> 64 hex digits.
        faults: one line for each missing, changed or damaged file.
    """

    sha256: dict[str, str]
    faults: tuple[str, ...]


def check(found: Found) -> Checked:
    """Reads every file for its checksum, and opens it without loading the tensors.

    Never executes code from a file.
    """
    if found.location is None:
        return Checked({}, ("not found",))
    faults = [f"{found.location / name} is missing" for name in found.missing]
    sums = {}
    for file in found.files:
        digest = file.sha256()
        if file.path.suffix in (".safetensors", ".bin", ".pth", ".pt"):
            sums[file.name] = digest
        if not digest.startswith(file.published):
            faults.append(f"{file.path.resolve()} is not the published file: its sha256 differs")
        elif reason := _unreadable(file.path):
            faults.append(f"{file.path.resolve()} is damaged or not a weights file ({reason})")
    return Checked(sums, tuple(faults))


def alternative(name: str) -> str | None:
    """The older form of a .safetensors file on the hub, or None."""
    if not name.endswith(".safetensors"):
        return None
    folder, slash, file = name.rpartition("/")
    older = "diffusion_pytorch_model.bin" if file.startswith("diffusion") else "pytorch_model.bin"
    return f"{folder}{slash}{older}"


def _folder(folder: Path, layout: Layout) -> tuple[list[WeightFile], list[str]]:
    files, missing = [], []
    for wanted in FILES[layout]:
        names = filter(None, (wanted, alternative(wanted)))
        name = next((name for name in names if (folder / name).exists()), None)
        if name is not None:
            files.append(WeightFile(name, folder / name, _published(folder, name)))
        elif wanted not in OPTIONAL:
            missing.append(wanted)
    return files, missing


def _published(folder: Path, name: str) -> str:
    """Checksum of a large file from the hub: its name in the cache, or metadata in a folder."""
    blob = (folder / name).resolve().name
    if _SHA256.fullmatch(blob):
        return blob
    recorded = _downloaded(folder, name)[1]
    return recorded if _SHA256.fullmatch(recorded) else ""


def _downloaded(folder: Path, name: str) -> tuple[str, str]:
    """Commit and checksum recorded by huggingface_hub for a file in a folder, or ''."""
    metadata = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    lines = metadata.read_text().splitlines() if metadata.exists() else []
    return (lines[0], lines[1]) if len(lines) >= 2 else ("", "")


def _tiny_sums(models: Models, location: Path) -> dict[str, str] | None:
    """Checksums of the tiny weights in `models.root`; None if `location` is not one of them."""
    if models.root is None:
        return None
    root = Path(models.root).expanduser().resolve()
    mark = root / TINY_MARK
    if not mark.exists() or not location.resolve().is_relative_to(root):
        return None
    sums: dict[str, str] = json.loads(mark.read_text())["files"]
    return sums


def _unreadable(path: Path) -> str:
    """Why a file cannot be opened in the format of its suffix, or ''."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            _open_safetensors(path)
        elif path.suffix in (".pth", ".pt", ".bin"):
            _open_pickle(path)
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    except pickle.UnpicklingError:
        # PyTorch's message suggests loading it anyway, so it is not repeated here.
        return "it contains more than tensors"
    return ""


def _open_safetensors(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _open_pickle(path: Path) -> None:
    import torch

    from ipseg.networks.checkpoint import HARMLESS

    with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
        warnings.simplefilter("ignore")  # about foreign pickles, which fail then
        try:
            torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            torch.load(path, map_location="cpu", weights_only=True)  # format before PyTorch 1.6
