"""The whole way of an image through a profile, and what precision does to its masks."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from ipseg.api import Model
from ipseg.config import Config, load_config
from ipseg.inputs import image_rows
from ipseg.rows import Row, Step, is_failed
from ipseg.runner import run_step
from ipseg.vision.images import encode_jpeg
from ipseg.weights.catalogue import needs
from jobs.bench.gpu.card import Card, Point
from jobs.bench.photos import photos, prompts
from jobs.bench.precision import compare_precisions

_CALLS = 2  # of a batch: one to warm up, one that is timed
_COMPONENTS = 16  # of INSID3 and FoRIS in the short form: the tiny networks have 32 channels


def measure_profile(card: Card, profile: str, batches: Sequence[int]) -> dict[str, Any]:
    """Loads a profile with random weights and segments JPEGs in memory, one concept each of two.

    Networks that the part before left loaded are not loaded again; these are left for the next one.

    Args:
        card: that it runs on.
        profile: its name.
        batches: images in one call of a step, rising. One that would not be over in time is left
            out.

    Returns:
        `precision`; seconds to `load` networks and describe the prompts, from files in memory; and
        for each of `batches`: `seconds_by_step` for one image, `card_seconds` of the steps with
        networks, `images_per_second` of one process that does all of it, the number of `failed`
        images, and `peak_gb`; `cut_short` if batches were left out.
    """
    config = profile_config(card, profile)
    model = Model(config)
    load = card.timed(lambda: model.set_prompts(prompts(masks=True)))
    card.kept = model
    gc.collect()  # of the networks that were kept, those that this profile does not use
    card.free()
    jpegs = [encode_jpeg(each) for each in photos()]
    found: list[Point] = []
    for batch in batches:
        if found and not card.affords(_CALLS * batch / found[-1]["images_per_second"]):
            break
        rows = list(image_rows((jpegs * batch)[:batch]))
        found.append({"batch": batch, **_pass(card, model._steps, rows)})
    return {
        "precision": config.models.in_use,
        "load": load,
        "batches": found,
        "cut_short": len(found) < len(batches),
    }


def compare_masks(card: Card, profile: str) -> list[dict[str, Any]]:
    """What each precision does to masks and points; see `compare_precisions`.

    With random weights values lie close to their thresholds more often than with trained ones.
    """
    *others, exact = card.precisions
    if exact != "float32":
        raise ValueError(f"{exact} is nothing to compare with")
    # The usual one first, and as long as there is time: each loads all networks again.
    effects = []
    for effect in compare_precisions(profile_config(card, profile), others):
        effects.append(effect)
        if card.late:
            break
    return effects


def profile_config(card: Card, profile: str) -> Config:
    """A profile with random weights on the card; in the usual precision unless it names one."""
    shipped = load_config(profile)
    root = card.weights([need.name for need in needs(shipped.resolved)])
    settings = [f"models.root={root}", f"models.device={card.device}"]
    if shipped.models.precision == "auto":  # what it stands for on a card
        settings.append(f"models.precision={card.precisions[0]}")
    if card.tiny and hasattr(shipped.method, "components"):
        settings.append(f"components={_COMPONENTS}")
    return load_config(profile, settings)


def _pass(card: Card, steps: Sequence[Step], rows: list[Row]) -> Point:
    """One warm pass of a batch through all steps, timed step by step."""
    taken: dict[str, float] = {}
    done: list[Row] = []

    def run() -> None:
        nonlocal done
        taken.clear()
        done = [dict(row) for row in rows]
        for step in steps:
            before = done
            seconds = card.timed(lambda step=step, before=before: done_by(step, before))
            taken[step.name] = taken.get(step.name, 0.0) + seconds

    def done_by(step: Step, before: list[Row]) -> None:
        nonlocal done
        done = run_step(step, before)

    peak = card.measure(run, least=1)["peak_gb"]
    by_step = {name: seconds / len(rows) for name, seconds in taken.items()}
    on_card = sum(by_step[step.name] for step in steps if step.loads_model)
    return {
        "seconds_by_step": by_step,
        "card_seconds": on_card,
        "images_per_second": 1 / sum(by_step.values()),
        "failed": sum(map(is_failed, done)),
        "peak_gb": peak,
    }
