"""Compare what was found with the ground truth of each episode, at the evaluation resolution."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from ipseg.benchmarks.benchmark import Protocol
from ipseg.benchmarks.episode import Box
from ipseg.benchmarks.ground_truth import GroundTruth, read_ground_truth
from ipseg.errors import SourceError
from ipseg.metrics import Boundary, Region
from ipseg.rows import Mask, Row, Step
from ipseg.vision.masks import decode_rle


@dataclass
class JudgeEpisodes(Step):
    """One result for each episode and variant of a row.

    Attributes:
        protocol: how masks are compared.
    """

    protocol: Protocol

    name: ClassVar[str] = "judge"
    requires: ClassVar[tuple[str, ...]] = ("answers", "episodes", "width", "height")
    provides: ClassVar[tuple[str, ...]] = ("results",)
    uses: ClassVar[tuple[str, ...]] = ("crop",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `results`; none for a variant to which the episode's supports were of no use."""
        return [{**row, "results": self._results(row)} for row in rows]

    def _results(self, row: Row) -> list[dict[str, Any]]:
        results = []
        for variant in dict.fromkeys(answer["variant"] for answer in row["answers"]):
            answers = {a["entry"]: a for a in row["answers"] if a["variant"] == variant}
            masks = {entry: decode_rle(a["segmentation"]) for entry, a in answers.items()}
            if self.protocol.assign == "argmax":
                masks = surest(masks, {entry: a["score"] for entry, a in answers.items()})
            for episode in row["episodes"]:
                answer = answers.get(episode["entry"])
                if answer is None:
                    continue
                results.append(
                    {
                        **{name: episode[name] for name in ("episode", "fold", "class_id")},
                        "class_name": episode["class_name"],
                        **answer,
                        **self._judge(row, episode["truth"], masks[episode["entry"]]),
                    }
                )
        return results

    def _judge(self, row: Row, address: str, found: Mask) -> dict[str, Any]:
        try:
            truth = truth_at(address, (row["width"], row["height"]), row.get("crop"))
        except (SourceError, OSError) as error:  # the episode cannot be judged, others can
            return {"status": "failed", "error_message": str(error)[:500]}
        protocol = self.protocol
        predicted = squash(found, protocol.side, "nearest")
        mask = squash(truth.mask, protocol.side, protocol.ground_truth_resize)
        void = None if truth.ignore is None else squash(truth.ignore, protocol.side, "nearest")
        counts = asdict(Region.of(predicted, mask, void))
        if protocol.boundaries:
            counts |= asdict(Boundary.of(predicted, mask, void))
        return {"status": "ok", "error_message": None, **counts}


def truth_at(
    address: str, size: tuple[int, int] | None, crop: Box | list[int] | None
) -> GroundTruth:
    """Ground truth of a picture, or of a part of it.

    Args:
        address: as for `read_ground_truth`.
        size: width and height of the picture (or part) in pixels; None takes any.
        crop: x0, y0, x1, y1 of the part.

    Raises:
        SourceError: it has another size than the picture, or none is known.
        OSError: it cannot be read.
    """
    if not address:
        raise SourceError("this picture has no ground truth")
    truth = read_ground_truth(address)
    mask, void = truth.mask, truth.ignore
    if crop is not None:
        x0, y0, x1, y1 = crop
        mask = mask[y0:y1, x0:x1]
        void = None if void is None else void[y0:y1, x0:x1]
    if size is not None and mask.shape != (size[1], size[0]):
        raise SourceError(
            f"{address[:200]} is {mask.shape[1]}x{mask.shape[0]} pixels, its picture "
            f"{size[0]}x{size[1]}"
        )
    return GroundTruth(mask, void)


def squash(mask: Mask, side: int | None, rule: str) -> Mask:
    """A mask at the evaluation resolution, (side, side), whatever its shape was.

    Args:
        mask: (H, W) bool.
        side: pixels; None leaves it as it is.
        rule: "nearest", or "linear" and then above zero, which adds a border (IPSeg's release).
    """
    if side is None:
        return mask
    how = cv2.INTER_NEAREST if rule == "nearest" else cv2.INTER_LINEAR
    # 255 and not 1: OpenCV rounds, and a border of faint values would be lost.
    levels = mask.astype(np.uint8) * 255
    return np.asarray(cv2.resize(levels, (side, side), interpolation=how) > 0)


def surest(masks: dict[str, Mask], scores: dict[str, float]) -> dict[str, Mask]:
    """Masks that do not overlap: each pixel belongs to the entry with the highest score there.

    Where nothing was found is background. Among equal scores the first by name wins.
    """
    taken: Mask | None = None
    alone: dict[str, Mask] = {}
    for entry in sorted(masks, key=lambda entry: (-scores[entry], entry)):
        mask = masks[entry]
        alone[entry] = mask if taken is None else mask & ~taken
        taken = mask if taken is None else taken | mask
    return alone
