"""Imports run one way: jobs -> pipeline -> ipseg, and the light parts stay light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"ipseg": {"ray", "pipeline", "jobs"}, "pipeline": {"jobs"}}


def imported(file):
    """Modules that a file imports anywhere: at its top, in a function, for types alone."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room(module):
    """The folder of a package that a module is in, or the module itself beside the folders."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    wrong = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imported(file)
        if name.partition(".")[0] in FORBIDDEN[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", ["ipseg", "pipeline", "jobs"])
def test_folders_of_a_package_do_not_import_each_other(package):
    """Not in a longer circle either; `__init__.py`, where a folder shows what it has, is free."""
    rooms: dict[str, set[str]] = {}
    for file in (ROOT / package).rglob("*.py"):
        if file.name != "__init__.py":
            here = room(".".join(file.relative_to(ROOT).with_suffix("").parts))
            own = {room(name) for name in imported(file) if name.startswith(f"{package}.")}
            rooms.setdefault(here, set()).update(own - {here})
    assert len(rooms) > 2
    order = list(TopologicalSorter(rooms).static_order())  # raises CycleError, which names them
    assert set(rooms) <= set(order)


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import ipseg", {"ray", "torch", "cv2", "skimage", "sklearn", "pyarrow", "numpy"}),
        ("import ipseg; ipseg.load('classical')", {"ray", "torch"}),
        ("import jobs.cli", {"ray", "torch", "cv2", "skimage", "sklearn", "pyarrow"}),
        ("import pipeline.segment", {"ray", "torch"}),
        # What Ray's workers start with: stages, reading and writing, the record.
        (
            "from pipeline.engines import ray_worker, ray_io, ray_record",
            {"torch", "sklearn", "scipy", "rich", "ipseg.config", "pipeline.engines.ray_engine"},
        ),
    ],
)
def test_heavy_packages_are_imported_only_when_needed(statement, unwanted):
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert not unwanted & set(done.stdout.split())
