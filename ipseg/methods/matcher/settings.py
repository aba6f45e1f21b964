"""The settings of Matcher, in the order in which they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Sampling:
    """Which sets of points the segmenter is asked with.

    Attributes:
        centres: the matched points are gathered into so many by k-means++; None takes them all.
        least: points in a set; fewer where there are fewer.
        most: the same.
        subsets: random sets of each size, if there are more than eight points; of fewer, all
            combinations are taken.
        box: every set goes with the bounding box of all its points.
        seed: of what is drawn. What is drawn for a concept depends on nothing else, so that it is
            the same in any run. The released code draws from one stream for all episodes.
    """

    centres: Count | None = 8
    least: Count = 4
    most: Count = 6
    subsets: Count = 30
    box: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError(f"least is {self.least}, more than most, {self.most}")


@dataclass(frozen=True)
class Grid:
    """Points all over the image, each asked for alone (SAM's automatic masks).

    Attributes:
        side: points along a side.
        least_iou: masks have a predicted IoU above it; 0 keeps all.
        least_stability: least IoU of a mask with itself at other thresholds; 0 keeps all.
    """

    side: Count = 64
    least_iou: Share = 0.88
    least_stability: Share = 0.95


@dataclass(frozen=True)
class Proposals:
    """Which masks are looked at.

    Attributes:
        multimask: three masks for each set of points, or one.
        least_iou: of masks of sets of points, as in `Grid`.
        least_stability: the same.
        nms: of two masks whose boxes have an IoU above it, the one with the lower predicted IoU
            goes; 1 keeps all.
        grid: more proposals, the same for all concepts in an image; None for none.
    """

    multimask: bool = False
    least_iou: Share = 0.0
    least_stability: Share = 0.0
    nms: Share = 1.0
    grid: Grid | None = None


@dataclass(frozen=True)
class Scoring:
    """What a mask is worth: alpha * likeness + beta * purity * coverage ** exponent.

    The thresholds are at most the highest value that is left, so that one mask always is.

    Attributes:
        alpha: weight of the likeness, 1 minus the earth mover's distance between the example's
            cells and those of the mask.
        beta: weight of the other two.
        exponent: of the coverage.
        coverage: least share of the matched points that is in a mask.
        likeness: its least value.
        purity: least number of matched points in a mask for each of its cells.
    """

    alpha: Annotated[float, Field(ge=0)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 0.0
    exponent: Annotated[float, Field(ge=0)] = 0.0
    coverage: Share = 0.0
    likeness: Share = 0.0
    purity: Share = 0.0


@dataclass(frozen=True)
class Merging:
    """Which masks are the answer.

    Attributes:
        rule: `ratio` takes the best whose score is more than `ratio` of the highest; `distance`
            those that are not further from 1 than `distance`, and of these the ones within
            `spread` of the best, as a share of the furthest. The best is always taken.
        most: masks that are taken (released: fewer with five prompts, 5 on COCO and FSS).
        ratio: for that rule.
        distance: for the other.
        spread: the same.
        objects: `union`: one object; `each`: one for each mask, best first. Masks of different
            sets of points can be of the same thing: set `proposals.nms` then.
    """

    rule: Literal["ratio", "distance"] = "ratio"
    most: Count = 10
    ratio: Share = 0.7
    distance: Share = 0.33
    spread: Share = 0.1
    objects: Literal["union", "each"] = "union"


@dataclass(frozen=True)
class Tracking:
    """How objects are followed through a video.

    Attributes:
        centres: the points of an object are gathered into so many by k-means++.
        together: the segmenter is asked with all subsets of up to so many of them.
        seed: as in `Sampling`.
        frames: that the next one is looked for with: the examples, the last frame, and the best
            of those before.
        decay: frames after which the score of one counts nothing, going down evenly.
        prior: how much what is near in the frame is preferred, in units of a cosine; 0 not at all.
        prior_frames: after which the prior is a third (1 / e).
        alpha: weight of the likeness; purity times coverage has weight 1.
        likeness: least value of a mask, or the highest there is.
        spread: the same once it goes from 0 for the lowest of these to 1.
        most: masks that are taken.
        least_score: what each of them is worth; the better half is taken in any case.
    """

    centres: Count = 8
    together: Count = 6
    seed: int = 0
    frames: Count = 4
    decay: Annotated[float, Field(gt=0)] = 25.0
    prior: Annotated[float, Field(ge=0)] = 0.1
    prior_frames: Annotated[float, Field(gt=0)] = 5.0
    alpha: Annotated[float, Field(ge=0)] = 0.4
    likeness: Share = 0.75
    spread: Share = 0.85
    most: Count = 5
    least_score: Annotated[float, Field(ge=0)] = 0.7
