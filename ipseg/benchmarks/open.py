"""Finding a benchmark by name."""

from __future__ import annotations

from ipseg.benchmarks.benchmark import Benchmark
from ipseg.components import BENCHMARKS, INSTANCE_BENCHMARKS, load_class
from ipseg.errors import ConfigError
from ipseg.parts import unknown


def benchmark_class(name: str) -> type[Benchmark]:
    """The class of a benchmark of episodes, to open on a data root.

    Raises:
        ConfigError: there is no such benchmark; suggests the closest name.
    """
    if name not in BENCHMARKS:
        raise ConfigError(unknown("benchmark", name, [*BENCHMARKS, *INSTANCE_BENCHMARKS]))
    return load_class(BENCHMARKS[name])
