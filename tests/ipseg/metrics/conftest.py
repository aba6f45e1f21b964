"""Tables of results: by hand, at random and from the golden masks."""

import importlib.util
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ipseg.benchmarks.results import RESULTS
from ipseg.metrics import Boundary, Region

GOLDEN = Path(__file__).parents[2] / "golden"
GIVEN = {"fold": "", "variant": "", "status": "ok"}


def to_table(rows) -> pa.Table:
    """(class id, region, boundary or None, other columns) each, episodes numbered from 0."""
    records = [
        dict.fromkeys(RESULTS.names)
        | GIVEN
        | {"episode": episode, "class_id": class_id, "class_name": f"class {class_id}"}
        | asdict(region)
        | ({} if boundary is None else asdict(boundary))
        | more
        for episode, (class_id, region, boundary, more) in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, RESULTS)


@pytest.fixture(scope="session")
def table():
    return to_table


@pytest.fixture(scope="session")
def golden():
    """The script that made the golden numbers: masks."""
    spec = importlib.util.spec_from_file_location("make_metrics", GOLDEN / "make_metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def numbers():
    return dict(np.load(GOLDEN / "metrics.npz", allow_pickle=False))


@pytest.fixture(scope="session")
def golden_video(golden):
    """Object name -> its frames as (region, boundary)."""
    found = {}
    for name, (ground_truth, predicted) in golden.sequences().items():
        for thing in range(1, golden.OBJECTS[name][0] + 1):
            pairs = [(p == thing, t == thing) for p, t in zip(predicted, ground_truth, strict=True)]
            found[f"{name}/{thing}"] = [(Region.of(p, t), Boundary.of(p, t)) for p, t in pairs]
    return found


@pytest.fixture(scope="session")
def drawn():
    """Function: a table of n random episodes of classes 0 .. c - 1, with boundaries."""

    def make(n, c, seed=0):
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(n):
            ground_truth, predicted = (int(x) for x in rng.integers(200, 5000, 2))
            shared = int(min(ground_truth, predicted) * rng.beta(3, 1))
            region = Region(
                10_000, shared, ground_truth + predicted - shared, ground_truth, predicted
            )
            lines = [int(x) for x in rng.integers(50, 400, 2)]
            near = [int(x * rng.beta(3, 1)) for x in lines]
            class_id = int(rng.integers(c))
            name = f"sequence {class_id // 2}/{class_id % 2}"
            boundary = Boundary(lines[0], near[0], lines[1], near[1])
            there, found = (int(x) for x in rng.integers(1, 30, 2))
            matched = int(min(there, found) * rng.beta(3, 1))
            counted = {"instances": there, "instances_found": found, "instances_matched": matched}
            rows.append((class_id, region, boundary, {"class_name": name, **counted}))
        return to_table(rows)

    return make
