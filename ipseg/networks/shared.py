"""Components with networks, loaded once per process and shared by all steps.

A *part* is a dataclass of settings with `setup` (loads weights) and `gpu_memory_gb`: a feature
extractor, a saliency model or a segmenter. Parts with equal settings share a network; of parts
that differ, those within them that are equal are shared if each names its own in `inner`.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable
from weakref import WeakValueDictionary

from ipseg.costs import measured, note_encoded
from ipseg.networks.models import Models
from ipseg.rows import Image

_NOT_OF_THE_NETWORK = ("weight",)  # of an extractor in a sum


@runtime_checkable
class Part(Protocol):
    """A component that can have weights."""

    @property
    def gpu_memory_gb(self) -> float:
        """GPU memory for weights and activations; 0 if it does not use a GPU."""

    def setup(self, models: Models) -> None:
        """Loads the weights, if any."""


@runtime_checkable
class Tuned(Protocol):
    """A part that finds out how many items its network takes at once."""

    def tune(self) -> None:
        """Tries it on the loaded network, within the memory that the part declares."""


class WithoutNetwork:
    """A part without weights that does not use a GPU."""

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
    """Equal for parts that can share a network: same class and settings."""
    fields = dataclasses.fields(part)  # type: ignore[arg-type]  # parts are dataclasses
    names = [f.name for f in fields if f.init and f.name not in _NOT_OF_THE_NETWORK]
    return (type(part), *((name, repr(getattr(part, name))) for name in names))


def shared(part: P, models: Models) -> P:
    """The loaded part of this process with the same settings, except for its weight in a sum.

    It is freed when nothing refers to it any more.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    key = (*network_key(part), models)
    known: P | None = _loaded.get(key)
    if known is None:
        known = dataclasses.replace(part)  # type: ignore[type-var]
        known.setup(models)
        loaded: object = known
        if isinstance(loaded, Tuned):
            loaded.tune()
        _loaded[key] = known
    return known


class LastBatch(threading.local):
    """Caches the result for the last batch of images of each thread.

    Chains that run side by side get the same array objects one after the other, so images are
    compared by identity.
    """

    def __reduce__(self) -> tuple[type[LastBatch], tuple[()]]:
        """An empty one: what it remembers stays in its process."""
        return LastBatch, ()

    def __init__(self) -> None:
        self._images: list[Any] = []  # kept, so that no other one gets the identity of one of them
        self._asked: object = None
        self._batch: object = None  # stands for it: identities of images come again
        self._result: Any = None
        self._seconds, self._working = 0.0, 0  # that it took to compute, and bytes

    def get(
        self, images: Sequence[Any], compute: Callable[[], Result], key: object = None
    ) -> Result:
        """`compute()`, or its last result for the same image objects and an equal key."""
        asked, found, lent = (key, *map(id, images)), self._seconds, self._working
        if asked != self._asked:
            self._result, self._seconds, self._working = measured(compute)
            self._images, self._asked, found, lent = list(images), asked, 0.0, 0
            self._batch = object()
        note_encoded(self, self._batch, len(images), found, lent)
        result: Result = self._result
        return result


class PerImage(Generic[Result]):
    """Caches a result for each image as long as the image is alive; threads can share it.

    For parts that are asked for single images as well as for batches. Images are compared by
    identity.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Image], Result]] = {}

    def __reduce__(self) -> tuple[type[PerImage[Result]], tuple[()]]:
        """An empty one: what it remembers stays in its process."""
        return PerImage, ()

    def get(self, image: Image, compute: Callable[[Image], Result]) -> Result:
        """`compute(image)`, or its result of an earlier call with the same array object."""
        key = id(image)
        if key not in self._known:
            result = compute(image)
            self._known[key] = weakref.ref(image, lambda _: self._known.pop(key, None)), result
        return self._known[key][1]
