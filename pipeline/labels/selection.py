"""The labels of a run: its objects after thresholds, decisions of people, and exclusion."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ipseg.errors import ConfigError, OutputError
from ipseg.objects import Object
from ipseg.vision.exclusive import without_overlap
from pipeline.labels.calibration import Calibration
from pipeline.labels.review import Review
from pipeline.labels.thresholds import suggest
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import Place, read_placed

COLUMNS = ("uri", "version", "width", "height", "row_status", "error_message", "objects")


Reviewed = Literal["only", "prefer"]


@dataclass(frozen=True)
class Chosen:
    """What is left of the objects of one image.

    Attributes:
        labels: the objects that are labels.
        vanished: those that vanished below surer ones.
        undecided: number of those that pass, but that nobody decided about where people decide.
    """

    labels: list[Object]
    vanished: list[Object]
    undecided: int


@dataclass(frozen=True)
class Selection:
    """Which objects of a run are labels.

    What people accepted or repaired is a label whatever its score; what they rejected is none.

    Attributes:
        thresholds: concept -> least confidence (`Object.confidence`); infinity for a concept that
            is said to be absent. A concept that is not in it has none.
        min_score: least score, of every concept.
        min_area: least number of pixels.
        exclusive: objects share no pixel: the surer one keeps it.
        reviewed: "only": what people accepted, in images of which they decided something; "prefer":
            of each concept the same in images where they decided something about it, and elsewhere
            all that passes; None: what nobody decided about is a label wherever it passes.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    min_score: float = 0.0
    min_area: int = 0
    exclusive: bool = False
    reviewed: Reviewed | None = None

    @property
    def absent(self) -> list[str]:
        """Concepts that are said to be absent."""
        return [name for name, least in self.thresholds.items() if math.isinf(least)]

    def of(self, key: str, objects: Sequence[Object], review: Review) -> list[Object]:
        """The labels among the objects of one image."""
        return self.chosen(key, objects, review).labels

    def chosen(self, key: str, objects: Sequence[Object], review: Review) -> Chosen:
        """The labels among the objects of one image, and what else would have been some."""
        large = [each for each in review.apply(key, objects) if each.area >= self.min_area]
        candidates = [each for each in large if each.status != "auto" or self._passes(each)]
        left = [
            each
            for each in candidates
            if each.status != "auto" or not self._left_to_people(key, each, review)
        ]
        undecided = len(candidates) - len(left)
        if not self.exclusive:
            return Chosen(left, [], undecided)
        alone = exclusive(left)
        kept = [each for each in alone if each is not None and each.area >= self.min_area]
        there = [each is not None and each.area >= self.min_area for each in alone]
        vanished = [each for each, stays in zip(left, there, strict=True) if not stays]
        return Chosen(kept, vanished, undecided)

    def _left_to_people(self, key: str, found: Object, review: Review) -> bool:
        """Whether people have decided which objects of this kind are labels in this image."""
        return self.reviewed == "only" or (
            self.reviewed == "prefer" and (key, found.concept) in review.decided
        )

    def _passes(self, found: Object) -> bool:
        least = self.thresholds.get(found.concept, 0.0)
        return found.score >= self.min_score and found.confidence >= least


def select(
    out: str,
    *,
    min_score: float = 0.0,
    threshold: Literal["suggested", "calibrated"] | None = None,
    exclusive: bool = False,
    min_area: int = 0,
    reviewed: Reviewed | None = None,
) -> Selection:
    """A selection for a run, checked.

    Args:
        out: run folder.
        min_score: see `Selection`.
        threshold: "suggested" from the shape of the scores (`pipeline.labels.thresholds`): a
            concept of which no image is convincing is said to be absent. "calibrated": those of
            the run's calibration; a concept that does not reach any is said to be absent.
        exclusive: see `Selection`.
        min_area: see `Selection`.
        reviewed: see `Selection`.

    Raises:
        ConfigError: a value is out of range.
        OutputError: there is no run at this place, nobody has decided anything that "only" could
            take, or the run is not calibrated.
    """
    out = out.rstrip("/")
    if not 0 <= min_score <= 1:
        raise ConfigError(f"a least score is between 0 and 1, not {min_score}")
    if min_area < 0:
        raise ConfigError(f"a least area is a number of pixels, not {min_area}")
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    if reviewed == "only" and not Review.read(out).keys:
        raise OutputError(
            f"nobody has decided anything about {out} yet, so no label is reviewed; "
            f"`ipseg review {shlex.quote(out)}` opens the page for it"
        )
    known = {} if threshold is None else _thresholds(manifest, threshold)
    thresholds = {name: math.inf if least is None else least for name, least in known.items()}
    return Selection(thresholds, min_score, min_area, exclusive, reviewed)


def _thresholds(
    manifest: Manifest, kind: Literal["suggested", "calibrated"]
) -> dict[str, float | None]:
    concepts = manifest.about["concepts"]
    if kind == "suggested":
        return {name: each.threshold for name, each in suggest(manifest.out, concepts).items()}
    calibration = Calibration.read(manifest.out)
    if calibration is None:
        raise OutputError(
            f"{manifest.out} is not calibrated; `ipseg calibrate {shlex.quote(manifest.out)} "
            f"--labels DIR` does it, on a few labelled images"
        )
    if not calibration.fits(manifest):
        raise OutputError(
            f"{manifest.out} was calibrated before its scores were changed; calibrate it again"
        )
    return {name: calibration.threshold(name) for name in concepts}


def exclusive(objects: Sequence[Object]) -> list[Object | None]:
    """Objects of one image or sequence that share no pixel in any frame, in the same order.

    Where several claim a pixel, what people accepted keeps it, then the surer one. None for an
    object of which nothing is left.
    """
    left: list[Object | None] = [None] * len(objects)
    for frame in dict.fromkeys(each.frame for each in objects):
        ranked = sorted(
            (place for place, each in enumerate(objects) if each.frame == frame),
            key=lambda place: _rank(objects[place]),
        )
        masks = without_overlap([objects[place].segmentation for place in ranked])
        for place, mask in zip(ranked, masks, strict=True):
            left[place] = None if mask is None else replace(objects[place], segmentation=mask)
    return left


def _rank(each: Object) -> tuple[Any, ...]:
    """Total, so that it does not matter in which order objects come."""
    sure = (each.status == "auto", -each.confidence, -each.score)
    return (*sure, each.concept, each.instance, each.area, each.segmentation["counts"])


@dataclass(frozen=True)
class LabelledRow:
    """One image of a run with its labels.

    Attributes:
        key: of the image.
        place: of its row.
        failed: whether it was not processed; "no labels" says nothing then.
        objects: its labels; none in a row that failed.
        vanished: objects of which exclusion left nothing, or less than the least area.
        undecided: number of objects that pass, but are left to people who have not decided.
        record: the row's other columns, `COLUMNS`.
        reviewed: whether a person has decided something about it.
        disputed: objects on which people disagree.
    """

    key: str
    place: Place
    failed: bool
    objects: tuple[Object, ...]
    vanished: tuple[Object, ...]
    undecided: int
    record: Mapping[str, Any]
    reviewed: bool
    disputed: int = 0


def read_labels(
    out: str, selection: Selection, carried: tuple[str, ...] = ()
) -> Iterator[LabelledRow]:
    """The images of a run with their labels, part after part, as a stream.

    Args:
        out: run folder.
        selection: which objects are labels.
        carried: further columns of the rows, for `LabelledRow.record`.

    Raises:
        OutputError: there are no parts, a part is damaged, or a decision cannot be read.
    """
    review = Review.read(out)
    for place, record in read_placed(out, [*COLUMNS, *carried]):
        key, reviewed = place.key, place.key in review.keys
        failed = record["row_status"] in BROKEN
        found = [] if failed else [Object.from_record(each) for each in record.pop("objects")]
        chosen = selection.chosen(key, found, review)
        labels, vanished = tuple(chosen.labels), tuple(chosen.vanished)
        if selection.reviewed == "only" and not (reviewed or labels):  # a rule accepts them too
            continue
        disputed = sum(review.verdict(key, each).disputed for each in found) if reviewed else 0
        undecided = chosen.undecided
        yield LabelledRow(
            *(key, place, failed, labels, vanished, undecided, record, reviewed), disputed
        )
