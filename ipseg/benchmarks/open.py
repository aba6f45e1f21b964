"""Opening a benchmark by name."""

from __future__ import annotations

import difflib

from ipseg.benchmarks.benchmark import Benchmark, Progress
from ipseg.components import BENCHMARKS, load_class
from ipseg.errors import ConfigError


def benchmark_class(name: str) -> type[Benchmark]:
    """The class of a benchmark.

    Raises:
        ConfigError: there is no such benchmark; suggests the closest name.
    """
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(BENCHMARKS)}"
        raise ConfigError(f"unknown benchmark '{name}'; {hint}")
    return load_class(BENCHMARKS[name])


def open_benchmark(
    name: str,
    root: str,
    *,
    shot: int = 1,
    cache: str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """The benchmark on its data root; reads nothing yet.

    Args:
        name: as in `ipseg.components.BENCHMARKS`.
        root: local path or fsspec URL.
        shot: supports of each episode, on which the folds of some benchmarks depend.
        cache: folder for an index of label maps; None keeps it in the data root.
        progress: called with (done, all) while annotations or label maps are read for the first
            time.

    Raises:
        ConfigError: there is no such benchmark; suggests the closest name.
    """
    return benchmark_class(name)(root, shot=shot, cache=cache, progress=progress)
