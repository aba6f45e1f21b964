"""Unsupervised saliency: the main object of an image."""

from __future__ import annotations

from typing import Protocol

from ipseg.networks.shared import Part
from ipseg.rows import Image, Map


class Saliency(Part, Protocol):
    """Finds the salient object of an image. Implementations are dataclasses of their settings."""

    def predict(self, image: Image) -> Map:
        """(H, W) float32 in [0, 1]: soft saliency at the resolution of the (H, W, 3) image."""

    def isolate(self, image: Image) -> Map:
        """(H, W) float32 in [0, 1]: the object of a prompt image. Never empty."""
