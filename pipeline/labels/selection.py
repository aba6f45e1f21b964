"""The labels of a run: its objects after thresholds, decisions of people, and exclusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ipseg.objects import Object
from pipeline.labels.review import Review
from pipeline.runfolder.finished import BROKEN
from pipeline.runfolder.parts import Place, read_placed

COLUMNS = (
    *("uri", "version", "width", "height", "orientation", "crop"),
    *("row_status", "error_message", "objects"),
)


@dataclass(frozen=True)
class Selection:
    """Which objects of a run are labels.

    Attributes:
        thresholds: concept -> least score; a concept that is not in it has `min_score`.
        min_score: least score.
        min_area: least number of pixels.
        reviewed: "only": what people accepted, in images of which they decided something; "prefer":
            the same there, and in other images all that has the score; None: what people rejected
            is left out, what they accepted is in whatever its score.
    """

    thresholds: Mapping[str, float]
    min_score: float = 0.0
    min_area: int = 0
    reviewed: Literal["only", "prefer"] | None = None

    def of(self, key: str, objects: list[Object], review: Review) -> list[Object]:
        """The labels among the objects of one image."""
        left = review.apply(key, objects)
        if self.reviewed is not None and key in review.keys:
            left = [each for each in left if each.status != "auto"]
        return [
            each
            for each in left
            if each.area >= self.min_area
            and (
                each.status != "auto"
                or each.score >= self.thresholds.get(each.concept, self.min_score)
            )
        ]


@dataclass(frozen=True)
class LabelledRow:
    """One image of a run with its labels.

    Attributes:
        key: of the image.
        place: of its row.
        failed: whether it was not processed; "no labels" says nothing then.
        objects: its labels; none in a row that failed.
        record: the row's other columns, `COLUMNS`.
        reviewed: whether a person has decided something about it.
    """

    key: str
    place: Place
    failed: bool
    objects: tuple[Object, ...]
    record: Mapping[str, Any]
    reviewed: bool


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
        if selection.reviewed == "only" and not reviewed:
            continue
        failed = record["row_status"] in BROKEN
        found = [] if failed else [Object.from_record(each) for each in record.pop("objects")]
        labels = selection.of(key, found, review)
        yield LabelledRow(key, place, failed, tuple(labels), record, reviewed)
