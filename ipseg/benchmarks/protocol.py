"""How the masks of an evaluation are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ipseg.vision.images import MaskOrientation


@dataclass(frozen=True)
class Protocol:
    """How masks are compared. Numbers of different protocols cannot be compared.

    Attributes:
        formula: id in `ipseg.metrics` of the main number.
        side: masks are resized to side x side pixels before they are compared, without keeping
            the aspect ratio; the method itself gets the original image. None compares at the
            original size.
        ground_truth_resize: how ground truth is resized to that: "nearest", or "linear" followed
            by a threshold above zero, which adds a border (IPSeg's release).
        given_mask: supports come with their ground-truth mask; False isolates them by saliency.
        boundaries: outlines are compared too (DAVIS' F).
        assign: "binary" evaluates each class separately; "argmax" assigns each pixel to the class
            with the highest score, or to the background.
        pairing: "name" compares a prediction with the ground truth of its image. "order" is that of
            a release that sorts both and pairs them off: where a prediction is missing, all later
            ones of the class are compared with the ground truth of the image before.
        mask_orientation: see `ipseg.vision.images.ImageLimits`. Published masks are of the stored
            pixels, because the loaders of their authors know no EXIF orientation.
    """

    formula: str = "A"
    side: int | None = None
    ground_truth_resize: Literal["nearest", "linear"] = "nearest"
    given_mask: bool = False
    boundaries: bool = False
    assign: Literal["binary", "argmax"] = "binary"
    pairing: Literal["name", "order"] = "name"
    mask_orientation: MaskOrientation = "stored"


IPSEG_PROTOCOL = Protocol(formula="B", side=1024, ground_truth_resize="linear")
MATCHER_PROTOCOL = Protocol(formula="A", side=518)
