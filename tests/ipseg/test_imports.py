"""Imports run one way: jobs -> pipeline -> ipseg, and the light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"ipseg": {"ray", "pipeline", "jobs"}, "pipeline": {"jobs"}}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    wrong = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imported(file)
        if name in FORBIDDEN[package]
    }
    assert not wrong


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
