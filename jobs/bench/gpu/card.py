"""The card that is measured: its clock, its precisions, its memory; or the CPU in its place."""

from __future__ import annotations

import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ipseg.networks.models import Models
from ipseg.weights.tiny import write_random
from jobs.bench.precision import arithmetic

Point = dict[str, Any]

# TFLOP/s of dense products by the vendor's datasheets: part of a card's name -> bf16 and fp16,
# TF32, float32. The first that fits counts.
DATASHEET = {
    "H200": (989, 495, 67),
    "H100 PCIe": (756, 378, 51),
    "H100": (989, 495, 67),
    "A100": (312, 156, 19.5),
    "L40S": (362, 183, 91.6),
    "L4": (121, 60, 30.3),
    "A10G": (70, 35, 31.2),
    "T4": (65, 8.1, 8.1),  # fp16 alone
}
CANNOT = (RuntimeError, ValueError)
"""What PyTorch raises for what a card, a network or this PyTorch does not do."""
_PACKAGES = ("torch", "transformers", "diffusers", "segment-anything", "numpy")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (a folder in it, of a random name)
_WEIGHTS_BYTES = 40e9


@dataclass
class Card:
    """What is measured.

    Attributes:
        device: a card, or the CPU for the short form.
        tiny: tiny networks in place of those of the published size.
        runs: timed calls of one point, at most; the median counts.
        patience: seconds after which no further call of a point is started.
        peaks: precision -> operations a second of large products, as far as measured.
        deadline: when the part at work starts no further points, by `time.perf_counter`.
        kept: what the part before left loaded for this one, if it uses the same networks.
    """

    device: torch.device
    tiny: bool
    runs: int = 10
    patience: float = 0.3
    peaks: dict[str, float] = field(default_factory=dict)
    deadline: float = float("inf")
    kept: object = None
    _folder: Path | None = field(init=False, default=None)
    _written: set[str] = field(init=False, default_factory=set)

    @property
    def on_card(self) -> bool:
        """Whether it is an NVIDIA card."""
        return self.device.type == "cuda"

    @property
    def precisions(self) -> tuple[str, ...]:
        """What it computes in, the usual one first."""
        if not self.on_card:
            return ("bfloat16", "float32")
        half = ("bfloat16", "float16")
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            half = ("float16",)
        return (*half, "tf32", "float32") if len(half) > 1 else (*half, "float32")

    @property
    def late(self) -> bool:
        """Whether the part at work has had its time."""
        return time.perf_counter() > self.deadline

    def affords(self, seconds: float) -> bool:
        """Whether the part at work has so much time left."""
        return time.perf_counter() + seconds < self.deadline

    def models(self, precision: str | None = None, root: Path | None = None) -> Models:
        """How networks run; the usual precision if none is named."""
        chosen = arithmetic(precision or self.precisions[0])
        return Models(str(root) if root else None, str(self.device), **chosen)

    @contextmanager
    def computing(self, precision: str) -> Iterator[None]:
        """Encoders run like this."""
        with torch.inference_mode(), self.models(precision).autocast():
            yield

    def wait(self) -> None:
        """Until the card has done what was asked of it."""
        if self.on_card:
            torch.cuda.synchronize(self.device)

    def free(self) -> None:
        """Gives memory back that nothing refers to any more."""
        if self.on_card:
            torch.cuda.empty_cache()

    def timed(self, run: Callable[[], object]) -> float:
        """Seconds of one call."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def measure(self, run: Callable[[], object], least: int = 2) -> Point:
        """Median `seconds` of a call, of the `first`, how many `runs`, and `peak_gb` of memory.

        Args:
            run: what is measured.
            least: calls after the first one that are timed whatever they take, unless the part's
                time is over.
        """
        if self.on_card:
            torch.cuda.reset_peak_memory_stats(self.device)
        first = self.timed(run)
        end = time.perf_counter() + self.patience
        taken = [self.timed(run)]
        while len(taken) < self.runs and not self.late:
            if len(taken) >= least and time.perf_counter() > end:
                break
            taken.append(self.timed(run))
        peak = torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_card else None
        seconds = statistics.median(taken)
        return {"seconds": seconds, "first": first, "runs": len(taken), "peak_gb": peak}

    def fitting(self, run: Callable[[int], object], batch: int) -> Point:
        """Measures `run(batch)`; out of memory halves the batch and goes on.

        Returns:
            As `measure`, with the `batch` that was measured and the one that was `asked`; without
            `seconds` if not even one fits.
        """
        asked = batch
        while batch:
            found = self._unless_full(run, batch)
            if found is not None:
                return {"asked": asked, "batch": batch, **found}
            self.free()  # not where the error is caught: its traceback keeps the tensors
            batch //= 2
        return {"asked": asked, "batch": 0}

    def _unless_full(self, run: Callable[[int], object], batch: int) -> Point | None:
        try:
            return self.measure(lambda: run(batch))
        except torch.OutOfMemoryError:
            return None

    def share(self, operations: float, seconds: float, precision: str) -> Point:
        """Operations a second, and what share of the card's peak they are.

        Of the peak as measured with large products, and as the vendor's datasheet has it.
        """
        rate = operations / seconds
        found: Point = {"tflops": rate / 1e12}
        if precision in self.peaks:
            found["share_of_measured_peak"] = rate / self.peaks[precision]
        if (named := datasheet(self.name, precision)) is not None:
            found["share_of_datasheet"] = rate / 1e12 / named
        return found

    @property
    def name(self) -> str:
        """Of the card, or of the processor."""
        if self.on_card:
            return torch.cuda.get_device_name(self.device)
        return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"

    def machine(self) -> dict[str, Any]:
        """What the figures depend on."""
        properties = torch.cuda.get_device_properties(self.device) if self.on_card else None
        return {
            "card": self.name,
            "memory_gb": None if properties is None else properties.total_memory / 1e9,
            "tiny": self.tiny,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in _PACKAGES},
        }

    def weights(self, names: Collection[str]) -> Path:
        """A folder with random weights of these names, for `models.root`."""
        if self._folder is None:
            # In memory where there is room: SAM and Stable Diffusion are 7 GB.
            fast = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free
            where = _SHARED_MEMORY if fast and fast > _WEIGHTS_BYTES and not self.tiny else None
            self._folder = Path(tempfile.mkdtemp(prefix="ipseg-bench-", dir=where))
        if missing := set(names) - self._written:
            write_random(self._folder, missing, None if self.tiny else self.device)
            self._written |= missing
        return self._folder

    def close(self) -> None:
        """Deletes the weights."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


def first_line(error: Exception) -> str:
    """Its class and the first line of what it says: PyTorch's messages go on with advice."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def datasheet(card: str, precision: str) -> float | None:
    """TFLOP/s that the vendor's datasheet has for a card, or None."""
    rates = next((rates for name, rates in DATASHEET.items() if name in card), None)
    place = {"bfloat16": 0, "float16": 0, "tf32": 1, "float32": 2}[precision]
    return None if rates is None else rates[place]


def measure_card(card: Card) -> dict[str, Any]:
    """The two ceilings: large products in each precision, and moving memory."""
    side = 256 if card.tiny else 8192
    pair = [torch.randn(side, side, device=card.device) for _ in range(2)]
    peaks = {}
    for precision in card.precisions:
        dtype = getattr(torch, precision, torch.float32)
        left, right = (each.to(dtype) for each in pair)  # so that no conversion is timed
        with card.computing(precision):
            found = card.measure(partial(torch.matmul, left, right))
        peaks[precision] = 2 * side**3 / found["seconds"]
    source = torch.empty(side * side * 16, dtype=torch.uint8, device=card.device)
    target = torch.empty_like(source)
    moved = card.measure(lambda: target.copy_(source))
    card.peaks = peaks
    return {
        "peaks": peaks,
        "datasheet_tflops": {each: datasheet(card.name, each) for each in card.precisions},
        "copied_bytes_per_second": 2 * source.nbytes / moved["seconds"],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
