"""Labellers: from an image and its object to a name that a detector can be asked for."""

from __future__ import annotations

from typing import Protocol

from ipseg.networks.shared import Part
from ipseg.rows import Image, Mask


class Labeller(Part, Protocol):
    """Names objects."""

    def label(self, image: Image, mask: Mask) -> str:
        """A noun for what a (H, W) mask shows in a (H, W, 3) uint8 image; "" if it has none."""
