"""From addresses to pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ipseg.errors import ImageError, SourceError
from ipseg.rows import Image, Resources, Row, Step
from ipseg.storage.addresses import fetch
from ipseg.vision.images import ImageLimits, decode, decode_oriented
from ipseg.vision.orientation import cropped
from ipseg.vision.video import VideoFrames, is_video


def content_hash(data: bytes) -> str:
    """32 hex digits that tell encoded images apart."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass
class Read(Step):
    """Fetches the encoded image of rows that do not carry it already."""

    name: ClassVar[str] = "read"
    requires: ClassVar[tuple[str, ...]] = ("uri",)
    provides: ClassVar[tuple[str, ...]] = ("image_bytes", "content_hash")
    uses: ClassVar[tuple[str, ...]] = ("image_bytes",)

    @property
    def resources(self) -> Resources:
        """Mostly waiting for storage."""
        return Resources(cpus=0.5)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `image_bytes` and `content_hash`."""
        return [self._read(row) for row in rows]

    def _read(self, row: Row) -> Row:
        data = row.get("image_bytes")
        data = fetch(row["uri"]) if data is None else data
        return {**row, "image_bytes": data, "content_hash": content_hash(data)}


@dataclass
class Decode(Step):
    """Decodes images to RGB. Pixels stay in the worker: each stage that needs them decodes."""

    limits: ImageLimits = field(default_factory=ImageLimits)

    name: ClassVar[str] = "decode"
    requires: ClassVar[tuple[str, ...]] = ("image_bytes",)
    provides: ClassVar[tuple[str, ...]] = ("image", "width", "height", "orientation")
    uses: ClassVar[tuple[str, ...]] = ("crop",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `image`, `width` and `height` (upright, of the crop if there is one), `orientation`.

        Raises:
            ImageError: not an image, or nothing of it is in the crop.
        """
        decoded = []
        for row in rows:
            whole, orientation = decode_oriented(row["image_bytes"], self.limits)
            image = np.ascontiguousarray(cropped(whole, row.get("crop"), orientation))
            if not image.size:
                x0, y0, x1, y1 = row["crop"]
                raise ImageError(f"the crop {x0},{y0},{x1},{y1} holds no pixel")
            height, width = image.shape[:2]
            size = {"width": width, "height": height, "orientation": orientation}
            decoded.append({**row, "image": image, **size})
        return decoded


@dataclass(frozen=True)
class Frames(Sequence[Image]):
    """The frames of a sequence, each read and decoded when it is asked for.

    Attributes:
        uris: of the frames, in order.
        limits: of the images.
    """

    uris: tuple[str, ...]
    limits: ImageLimits

    def __len__(self) -> int:
        return len(self.uris)

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]  # no slices
        """(H, W, 3) uint8 RGB.

        Raises:
            IndexError: there are not so many frames.
            ImageError: it cannot be read or decoded, or is out of limits; names the frame, from 1.
        """
        uri = self.uris[index]
        try:
            return decode(fetch(uri), self.limits)
        except (ImageError, SourceError, OSError) as error:
            # The row is the sequence: without this nobody would know which of its files to repair.
            raise ImageError(f"frame {index + 1} of {len(self)}, {uri}: {error}") from error


def open_frames(uris: Sequence[str], limits: ImageLimits) -> Frames | VideoFrames:
    """The frames of a sequence: images, or those of the one video file.

    Raises:
        ImageError: the video cannot be read.
        OSError: the same.
    """
    if len(uris) == 1 and is_video(uris[0]):
        return VideoFrames(uris[0], limits)
    return Frames(tuple(uris), limits)


@dataclass
class OpenFrames(Step):
    """Opens sequences; only addresses travel, so a long one takes no more memory than a short."""

    limits: ImageLimits = field(default_factory=ImageLimits)

    name: ClassVar[str] = "frames"
    requires: ClassVar[tuple[str, ...]] = ("frame_uris",)
    provides: ClassVar[tuple[str, ...]] = ("frames", "width", "height")

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds `frames` (see `open_frames`), `width` and `height` of the first one."""
        opened = []
        for row in rows:
            frames = open_frames(row["frame_uris"], self.limits)
            height, width = frames[0].shape[:2]
            opened.append({**row, "frames": frames, "width": width, "height": height})
        return opened
