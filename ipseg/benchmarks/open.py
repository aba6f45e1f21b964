"""A benchmark by its name."""

from __future__ import annotations

import difflib
from typing import Any

from ipseg.benchmarks.annotated import AnnotatedBenchmark
from ipseg.benchmarks.benchmark import Benchmark
from ipseg.components import BENCHMARKS, load_class
from ipseg.errors import ConfigError


def open_benchmark(name: str, root: str, shot: int = 1) -> Benchmark:
    """The benchmark on its data root; reads nothing yet.

    Args:
        name: as in `ipseg.components.BENCHMARKS`.
        root: local path or fsspec URL.
        shot: supports of each episode, on which the folds of some benchmarks depend.

    Raises:
        ConfigError: there is no such benchmark; names the nearest.
    """
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(BENCHMARKS)}"
        raise ConfigError(f"unknown benchmark '{name}'; {hint}")
    cls: Any = load_class(BENCHMARKS[name])
    benchmark: Benchmark = cls(root, shot) if issubclass(cls, AnnotatedBenchmark) else cls(root)
    return benchmark
