"""What each setting of an evaluation costs an image: as if it had run alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ipseg.costs import Cost, Key
from ipseg.storage.files import read_bytes


@dataclass(frozen=True)
class SettingCost:
    """One setting on the images of one or more runs, without reading, decoding and judging them.

    Attributes:
        images: that it was measured on.
        seconds: of one worker for an image, whatever it is asked for.
        encoded: passes of image encoders for an image.
        memory: bytes of its networks, and the most that one of its own steps worked with beside
            them: of the GPU, or of the process where there is none.
    """

    images: int
    seconds: float
    encoded: float
    memory: int

    @property
    def images_per_second(self) -> float:
        """Of one worker."""
        return 1 / self.seconds


def recorded(costs: Mapping[Key, Cost], out: str) -> list[dict[str, Any]]:
    """Costs as evaluation.json keeps them, with those of earlier runs into the same folder.

    Args:
        costs: of this run.
        out: its folder.
    """
    sums = {key: Cost(**asdict(cost)) for key, cost in costs.items()}
    for each in _earlier(out):
        key = (each.pop("step"), tuple(each.pop("variants")))
        sums.setdefault(key, Cost()).add(Cost(**each))
    return [
        {"step": step, "variants": list(labels), **asdict(cost)}
        for (step, labels), cost in sums.items()
    ]


def _earlier(out: str) -> list[dict[str, Any]]:
    try:
        known: dict[str, Any] = json.loads(read_bytes(f"{out}/evaluation.json"))
    except FileNotFoundError:
        return []
    return list(known.get("costs", ()))


def cost_of(evaluation: Mapping[str, Any], variant: Mapping[str, Any]) -> SettingCost | None:
    """What a setting costs; None where several are not compared, or nothing was measured.

    Args:
        evaluation: evaluation.json.
        variant: one of its variants, with the names of its `steps`.
    """
    steps: Collection[str] = variant.get("steps", ())
    mine = [
        Cost(**{name: each[name] for name in asdict(Cost())})
        for each in evaluation.get("costs", ())
        if each["step"] in steps and (not each["variants"] or variant["label"] in each["variants"])
    ]
    images = max((cost.rows for cost in mine), default=0)
    seconds = sum(cost.seconds for cost in mine)
    if len(evaluation["variants"]) == 1 or not images or not seconds:
        return None
    networks: dict[str, int] = {}
    for cost in mine:
        networks |= cost.networks
    return SettingCost(
        images,
        seconds / images,
        sum(cost.encoded for cost in mine) / images,
        sum(networks.values()) + max(cost.working for cost in mine),
    )
