"""Reading many small files at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ipseg.benchmarks.benchmark import Progress

Result = TypeVar("Result")

_THREADS = 8  # reading waits for disk or network, and decoding releases the GIL


def read_all(
    read: Callable[[str], Result], urls: Sequence[str], progress: Progress | None
) -> Iterator[Result]:
    """What is read from each address, in order; an error stops the rest at once.

    Args:
        read: called in several threads.
        urls: of the files.
        progress: called with (files done, all files) after the caller is done with each.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done, result in enumerate(pool.map(read, urls), start=1):
                yield result
                if progress is not None:
                    progress(done, len(urls))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
