"""`ipseg doctor`: what is installed, which devices are there, how much memory."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.commands.options import Json
from jobs.output import print_json

PACKAGES = (
    *("ipseg", "ray", "numpy", "scipy", "scikit-image", "scikit-learn"),
    *("pillow", "pyarrow", "fsspec", "pycocotools", "pydantic"),
)


def doctor(json: Json = False) -> None:
    """Say what is installed, which devices are there, and how much memory."""
    found = examine()
    if json:
        print_json(found)
        return
    table = Table("what", "found", show_header=False)
    table.add_row("python", f"{found['python']} on {found['platform']}")
    for name, version in found["packages"].items():
        table.add_row(name, version or "[red]missing[/red]: install ipseg again")
    table.add_section()
    table.add_row("CPU cores", str(found["cpus"]))
    table.add_row("memory", _gigabytes(found["memory_gb"]))
    table.add_row("free shared memory", _gigabytes(found["shared_memory_free_gb"]))
    table.add_row("free temporary space", _gigabytes(found["temporary_free_gb"]))
    table.add_row("GPUs", "\n".join(found["gpus"]) or "none (not needed for profile classical)")
    table.add_section()
    table.add_row("profiles", ", ".join(found["profiles"]))
    for part, kinds in found["parts"].items():
        table.add_row(part, ", ".join(kinds))
    Console().print(table)


def examine() -> dict[str, Any]:
    """Versions, devices, memory in GB, profiles and parts, as plain data."""
    from ipseg.components import FEATURES, METHODS, SALIENCY, SEGMENTERS
    from ipseg.config import profiles

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES} | {"opencv": _opencv()},
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": _memory_gb(),
        "shared_memory_free_gb": _free_gb("/dev/shm"),  # noqa: S108  (Ray's object store)
        "temporary_free_gb": _free_gb(os.environ.get("TMPDIR", "/tmp")),  # noqa: S108
        "gpus": _gpus(),
        "profiles": profiles(),
        "parts": {
            "method": list(METHODS),
            "saliency": list(SALIENCY),
            "features": list(FEATURES),
            "segmenter": list(SEGMENTERS),
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _opencv() -> str | None:
    """Version, and packages: OpenCV comes in four, and any of them will do."""
    names = metadata.packages_distributions().get("cv2")
    if not names:
        return None
    try:
        import cv2
    except ImportError as error:  # a build with windows needs libraries of the system
        return f"{', '.join(names)}: {error}"
    return f"{cv2.__version__} ({', '.join(names)})"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _free_gb(folder: str) -> float | None:
    return shutil.disk_usage(folder).free / 1e9 if Path(folder).is_dir() else None


def _gpus() -> list[str]:
    """Name and memory of each NVIDIA card, by its driver's own tool; empty without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []


def _gigabytes(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} GB"
