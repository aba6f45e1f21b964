"""Parts with networks, loaded once in a process and used by all steps that name the same.

A *part* is a dataclass of settings with `setup` (loads weights) and `gpu_memory_gb`: a feature
extractor, a saliency model, a segmenter. Two parts with equal settings are one network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable
from weakref import WeakValueDictionary

from ipseg.networks.models import Models

_NO_PART_OF_A_NETWORK = ("weight",)  # the share of an extractor in a sum


@runtime_checkable
class Part(Protocol):
    """Anything with weights, or that might have some."""

    @property
    def gpu_memory_gb(self) -> float:
        """GPU memory for weights and activations; 0 if it never uses a GPU."""

    def setup(self, models: Models) -> None:
        """Loads weights, if there are any."""


class WithoutNetwork:
    """A part that has nothing to load and never uses a GPU."""

    @property
    def gpu_memory_gb(self) -> float:
        """0."""
        return 0.0

    def setup(self, models: Models) -> None:
        """Does nothing."""


P = TypeVar("P", bound=Part)
Result = TypeVar("Result")

_loaded: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()


def network_key(part: Part) -> tuple[Any, ...]:
    """Equal for parts that can share a network: same class, same settings."""
    fields = dataclasses.fields(part)  # type: ignore[arg-type]  # parts are dataclasses
    names = [f.name for f in fields if f.init and f.name not in _NO_PART_OF_A_NETWORK]
    return (type(part), *((name, repr(getattr(part, name))) for name in names))


def shared(part: P, models: Models) -> P:
    """The part of this process that equals another one but for its weight in a sum, set up.

    It lives as long as somebody holds it.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    key = (*network_key(part), models)
    known: P | None = _loaded.get(key)
    if known is None:
        known = dataclasses.replace(part)  # type: ignore[type-var]
        known.setup(models)
        _loaded[key] = known
    return known


class LastBatch:
    """What was computed last from a batch of images, so that it is not computed again.

    Chains that run side by side see the very same arrays one after the other; identity is enough.
    """

    def __init__(self) -> None:
        self._images: list[Any] = []
        self._key: object = object()  # of no batch yet, not even of an empty one
        self._result: Any = None

    def get(
        self, images: Sequence[Any], compute: Callable[[], Result], key: object = None
    ) -> Result:
        """`compute()`, or its last result if the images are the same objects and the key equal."""
        same = len(images) == len(self._images) and all(
            one is other for one, other in zip(images, self._images, strict=True)
        )
        if not same or key != self._key:
            self._result = compute()
            self._images, self._key = list(images), key
        result: Result = self._result
        return result
