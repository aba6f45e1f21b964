"""What is remembered of an object while a video goes on: few frames, whatever its length.

Source: SINE (Liu et al., NeurIPS 2024), released code of the video evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

Kept = TypeVar("Kept")
_GIVEN = 1.0  # score of an example, where it competes with what is found


@dataclass(frozen=True)
class Remembering:
    """Which frames are remembered. The defaults are those of the documented command.

    Attributes:
        frames: that an object is looked for with, the example included: 6 for DAVIS-2017, 2 for
            DAVIS-2016.
        example: `kept` for ever; `competes` with what is found, as a frame of score 1.
        decay: frames after which a score counts nothing, going down evenly.
        unit: of the decay: `index` of a frame; `file_number`: the last digits of its file's name,
            as released, by which scores decay five times as fast where every fifth frame has a
            file. The frames of a video file have their index.
        from_first: whether what is found in the first frame is remembered too, as released, though
            an example of it may be there already.
        encode: `cached`: what is pooled of a frame is kept; `again`: frames are encoded again each
            time, as released, with the same results for many times the work.
    """

    frames: Annotated[int, Field(ge=1)] = 6
    example: Literal["kept", "competes"] = "kept"
    decay: Annotated[float, Field(gt=0)] = 20.0
    unit: Literal["index", "file_number"] = "index"
    from_first: bool = True
    encode: Literal["cached", "again"] = "cached"


@dataclass(frozen=True)
class Remembered(Generic[Kept]):
    """One frame.

    Attributes:
        number: of the frame, in the unit of the decay.
        score: of what was found in it.
        what: that is kept of it.
    """

    number: int
    score: float
    what: Kept


@dataclass
class Memory(Generic[Kept]):
    """Of one object.

    Attributes:
        settings: which frames it keeps.
        example: what is kept of the examples.
        started: number of the frame in which the object enters.
    """

    settings: Remembering
    example: Kept
    started: int = 0
    _moving: list[Remembered[Kept]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.settings.example == "competes":
            self._moving.append(Remembered(self.started, _GIVEN, self.example))

    def __iter__(self) -> Iterator[Kept]:
        """What the object is looked for with: the example first, then the oldest frame."""
        if self.settings.example == "kept":
            yield self.example
        yield from (each.what for each in self._moving)

    @property
    def numbers(self) -> list[int]:
        """Of the frames in it, the example's included."""
        kept = [self.started] if self.settings.example == "kept" else []
        return kept + [each.number for each in self._moving]

    def push(self, number: int, score: float, what: Kept) -> None:
        """Takes a frame in; the worst one goes if there is no room, which can be this one.

        The worst has the lowest decayed score; of equal ones, as all are that are old enough, the
        lowest score; of these the oldest.
        """
        self._moving.append(Remembered(number, score, what))
        room = self.settings.frames - (self.settings.example == "kept")
        if len(self._moving) > room:
            self._moving.remove(min(self._moving, key=lambda each: self._worth(each, number)))

    def _worth(self, each: Remembered[Kept], now: int) -> tuple[float, float, int]:
        left = max(0.0, 1 - (now - each.number) / self.settings.decay)
        return each.score * left, each.score, each.number
