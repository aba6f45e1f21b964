"""How good a run was, from the masks and metrics in its own shards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ipseg.metrics import MeanIoU, average_precision
from pipeline.runfolder.parts import read_rows


def measure_quality(url: str) -> dict[str, Any] | None:
    """Mean IoU over (image, concept present) and how well presence is told, for each concept.

    Returns:
        {"mean_iou", "pairs", "average_precision", "concepts": {name: {"mean_iou", "present",
        "images", "average_precision"}}} with formula B (mean over images of the IoU in one image);
        None if no row has ground truth. An average precision is None where a concept is in every
        image or in none.
    """
    ious: dict[str, MeanIoU] = defaultdict(MeanIoU)
    scores: dict[str, list[float]] = defaultdict(list)
    present: dict[str, list[bool]] = defaultdict(list)
    for row in read_rows(url, ["objects", "metrics", "row_status"]):
        best: dict[str, float] = defaultdict(float)
        for item in row["objects"]:
            best[item["concept"]] = max(best[item["concept"]], item["score"])
        for metric in row["metrics"]:
            concept = metric["concept"]
            if metric["present"]:
                ious[concept].add(metric["intersection"], metric["union"])
            scores[concept].append(best[concept])
            present[concept].append(metric["present"])
    if not scores:
        return None
    overall = MeanIoU()
    for accumulator in ious.values():
        overall = overall + accumulator
    return {
        "formula": "B",
        "mean_iou": overall.value,
        "pairs": overall.count,
        "average_precision": average_precision(
            [s for concept in sorted(scores) for s in scores[concept]],
            [p for concept in sorted(scores) for p in present[concept]],
        ),
        "concepts": {
            concept: {
                "mean_iou": ious[concept].value if concept in ious else None,
                "present": sum(present[concept]),
                "images": len(present[concept]),
                "average_precision": average_precision(scores[concept], present[concept]),
            }
            for concept in sorted(scores)
        },
    }


def unseen_concepts(quality: dict[str, Any] | None, names: Sequence[str]) -> list[str]:
    """Which concepts no row's ground truth shows, given what `measure_quality` said."""
    concepts = {} if quality is None else quality["concepts"]
    return [name for name in names if name not in concepts or not concepts[name]["present"]]
