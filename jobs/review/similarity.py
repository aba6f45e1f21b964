"""Similarity maps of a run: not stored, so made again with the run's settings when asked for."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from ipseg.config import config_again
from ipseg.errors import ImageError, OutputError
from ipseg.methods.chain import image_chain
from ipseg.rows import Row, Step, is_failed
from ipseg.runner import prepare, run_step
from ipseg.vision.images import encode_png
from jobs.review.cache import Cache
from jobs.review.index import Index
from jobs.review.rows import Rows
from pipeline.prompts import open_bank
from pipeline.runfolder.bank import bank_of
from pipeline.runfolder.manifest import Manifest

COLUMN = "similarity"
_KEPT = 64


class Similarity:
    """Makes similarity maps, one at a time, as coloured PNG files. Threads may share it.

    The method is loaded with the first one, which takes as long as it does for a run.

    Args:
        index: of the run.
        rows: of the run.
    """

    def __init__(self, index: Index, rows: Rows) -> None:
        self._index = index
        self._rows = rows
        self._lock = threading.Lock()
        self._step: Step | None = None
        self._images = Cache(self._make, _KEPT)

    def of(self, number: int) -> bytes:
        """How similar each place of an image is to an object's concept: dark is not, bright is.

        Raises:
            OutputError: the run's method makes no such maps, or it failed.
            IpsegError: its bank or its weights are not there any more, or the image.
            OSError: they cannot be read.
        """
        index = self._index
        concept = index.concepts[index.concept[number]]
        return self._images(int(index.image[number]), int(index.frame[number]), concept)

    def _make(self, image: int, frame: int, concept: str) -> bytes:
        pixels = self._rows.pixels(image, frame)
        height, width = pixels.shape[:2]
        row: Row = {"key": self._index.key(image), "image": pixels}
        row |= {"width": width, "height": height, "asks": [{"concept": concept}]}
        with self._lock:  # networks take one caller at a time
            if self._step is None:
                self._step = _loaded(self._index.out)
            (done,) = run_step(self._step, [row])
        if is_failed(done):
            raise ImageError(f"{done['error_type']}: {done['error_message']}")
        if not len(done[COLUMN]):
            raise OutputError(f"the bank of the run has nothing usable of {concept}")
        values = done[COLUMN][0]
        low, high = float(values.min()), float(values.max())
        levels = np.round(255 * (values - low) / max(high - low, 1e-9)).astype(np.uint8)
        return encode_png(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1])


def _loaded(out: str) -> Step:
    """The step of the run's method that makes similarity maps from an image."""
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    config = config_again(manifest.about["config"])
    bank = open_bank(bank_of(out, manifest.about), config)
    for step in image_chain({"": config}, {"": bank}):
        if COLUMN in step.provides and set(step.requires) <= {"image", "width", "height"}:
            prepare([step])
            return step
    raise OutputError(f"method {manifest.about['method']} makes no similarity maps")
