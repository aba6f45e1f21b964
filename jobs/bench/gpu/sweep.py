"""A network alone: at every batch that pays, in every precision."""

from __future__ import annotations

from typing import Any

from jobs.bench.gpu.card import CANNOT, Card, Point, first_line
from jobs.bench.gpu.encoders import Encoder

_USUAL = 8  # batch up to which every network is measured
_OF_OTHERS = 4  # largest batch of other precisions where no larger batches are tried
_GROWS = 1.05  # times the images a second that a batch twice as large must give beyond that
_CALLS = 4  # of a point, more or less


def sweep(card: Card, encoder: Encoder, most: int) -> dict[str, Any]:
    """Batch 1, 2, 4 ... in the usual precision; the others at batch 1 and 8, or at 4 alone.

    Beyond 8 a batch is tried as long as twice the batch gives 5 % more images a second: larger ones
    cost time and decide nothing.

    Args:
        card: that it runs on.
        encoder: the network.
        most: the largest batch; with 8 or less the other precisions are measured at 4 alone.

    Returns:
        `operations` of one input, inputs `per_image`, and `points`: each with its `precision`,
        `batch`, as in `Card.fitting`, `images_per_second` and as in `Card.share`; or the `error` of
        a precision that the network cannot be computed in.

    Raises:
        RuntimeError: of the network, in the usual precision.
    """
    network = encoder.build(card.device, tiny=card.tiny)
    operations = encoder.operations(tiny=card.tiny)
    points: list[Point] = []

    def measured(precision: str, batch: int) -> Point:
        with card.computing(precision):
            found = card.fitting(lambda n: network(encoder.input(n, card)), batch)
        point = {"precision": precision, **found}
        if found["batch"]:
            inputs = found["batch"] / found["seconds"]
            point["images_per_second"] = inputs / encoder.per_image
            point |= card.share(operations, 1 / inputs, precision)
        return point

    usual, *others = card.precisions
    batch, rate, cut_short = 1, 0.0, False
    while batch <= most:
        points.append(point := measured(usual, batch))
        if point["batch"] < batch:
            break
        if cut_short := not card.affords(2 * _CALLS * point["seconds"]):
            break
        before, rate = rate, point["images_per_second"]
        if batch >= _USUAL and rate < _GROWS * before:
            break
        batch *= 2
    thorough = most > _USUAL
    best = min(_USUAL if thorough else _OF_OTHERS, max(each["batch"] for each in points))
    for precision in others:
        for batch in sorted({1, best}) if thorough else [best]:
            if card.late or best == 0:
                break
            try:
                points.append(measured(precision, batch))
            except CANNOT as error:
                points.append({"precision": precision, "batch": 0, "error": first_line(error)})
    return {
        "weights": encoder.weights,
        "side": encoder.pixels(tiny=card.tiny),
        "per_image": encoder.per_image,
        "operations": operations,
        "points": points,
        "cut_short": cut_short or card.late,
    }
