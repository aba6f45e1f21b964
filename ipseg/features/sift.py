"""Local features with a geometric check, for the same object instance.

If enough SIFT keypoints (Lowe, IJCV 2004) of the prompt object are found in a consistent
arrangement, the mask of the prompt is warped to the image and is nearly the result. If not, the map
is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.errors import PromptError
from ipseg.features.placement import Placement, place
from ipseg.features.similarity import FINER, Similarity
from ipseg.features.verification import verified
from ipseg.features.warping import Plane, Warp
from ipseg.networks.shared import LastBatch, WithoutNetwork
from ipseg.rows import Arrays, Image, Map
from ipseg.vision.geometry import resize_map
from ipseg.vision.superpixels import to_lab, work_image

Descriptors = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Detected = tuple[Vector, Descriptors, Image]  # see `_keypoints`

_MASK_SIDE = 64  # cells of the stored prompt mask
_FEWEST = 4  # inliers of a placement
_AS_INLIERS = 6.0  # that a perfect correlation of brightness counts as
_CROWD = 3  # so many times the keypoints where there may be many instances
_MANY, _SURE = 2, 0.5  # placements and their evidence that call for a closer look
_CLOSER = 1.5  # times the resolution
_CLOSER_ENOUGH = 0.6  # of its longer side, for a thumbnail
_LEVELS = 512  # descriptors are stored as 512 x the square root, clipped to [0, 255]
# The permutation of the 4 x 4 x 8 values of a descriptor that mirrors the image.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, (-np.arange(8)) % 8].ravel()


@dataclass
class SiftGeometry(WithoutNetwork):
    """SIFT with a geometric check.

    Attributes:
        weight: of its map in the fused similarity map; 0 leaves it out. A certain match has the
            value 1 inside the object, other maps are z-scores, so it dominates with a weight of
            several.
        long_side: longer side of the work image, pixels.
        prompt_points: maximum number of keypoints of a prompt image.
        image_points: maximum number of keypoints of an image.
        ratio: largest ratio of the distances to the nearest and the second nearest descriptor.
        half_sure: inliers at which presence is 1/2, in addition to three that can be chance.
        instances: maximum number of instances in an image.
        verify: compare the colours where the prompt is placed: what agrees counts like further
            inliers, so three are enough, and the outline is that of the cells that agree.
    """

    weight: Annotated[float, Field(ge=0)] = 8.0
    long_side: Annotated[int, Field(ge=1)] = 480
    prompt_points: Annotated[int, Field(ge=1)] = 300
    image_points: Annotated[int, Field(ge=1)] = 1000
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.85
    half_sure: Annotated[float, Field(gt=0)] = 3.0
    instances: Annotated[int, Field(ge=1)] = 4
    verify: bool = False

    def __post_init__(self) -> None:
        self._last = LastBatch()

    def for_many(self, most: int) -> SiftGeometry:
        """To tell instances apart.

        With more keypoints of an image, because they are shared by more and smaller objects, and
        with verification.
        """
        points, most = min(most, _CROWD) * self.image_points, max(most, self.instances)
        return replace(self, image_points=points, instances=most, verify=True)

    def prompt_features(self, image: Image, mask: Map) -> Arrays:
        """Keypoints on the object.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: (H, W) float in [0, 1] of the object.

        Returns:
            `descriptors` (n, 128) uint8; `frames` (n, 5) float32: index of the view, x, y, scale,
            direction in degrees, in pixels of the work image; `masks` (1, 64, 64) uint8, 0-255;
            `patches` (1, 64, 64, 3) uint8, the image; `extents` (1, 2) float32, width and height of
            the work image. n may be 0.
        """
        frames, descriptors, work = self._detect(image, 4 * self.image_points)
        height, width = work.shape[:2]
        inside = resize_map(mask, (height, width), "area")
        x = np.clip(frames[:, 0].astype(np.int64), 0, width - 1)
        y = np.clip(frames[:, 1].astype(np.int64), 0, height - 1)
        kept = np.flatnonzero(inside[y, x] > 0.5)[: self.prompt_points]
        view = np.zeros((len(kept), 1))
        return {
            "descriptors": descriptors[kept].astype(np.uint8),
            "frames": np.concatenate([view, frames[kept]], axis=1).astype(np.float32),
            "masks": np.round(255 * resize_map(mask, (_MASK_SIDE, _MASK_SIDE), "area"))
            .clip(0, 255)
            .astype(np.uint8)[None],
            "patches": cv2.resize(work, (_MASK_SIDE,) * 2, interpolation=cv2.INTER_AREA)[None],
            "extents": np.array([[width, height]], dtype=np.float32),
        }

    def merge(self, views: Sequence[Arrays]) -> Arrays:
        """Concatenates the prompt images of a concept; each of them can be found."""
        merged = {name: np.concatenate([view[name] for view in views]) for name in views[0]}
        first = np.cumsum([0] + [len(view["masks"]) for view in views])
        shifts = np.repeat(first[:-1], [len(view["frames"]) for view in views])
        merged["frames"] = merged["frames"].astype(np.float32)
        merged["frames"][:, 0] += shifts
        return merged

    def compare(
        self, images: Sequence[Image], bank: Sequence[Arrays], grids: Sequence[tuple[int, int]]
    ) -> list[Similarity]:
        """The warped prompt masks, 0 elsewhere; see `Similarity`.

        Maps are in [0, 1]: presence inside the object, 0 outside.
        """
        detected = self._last.get(
            images, lambda: [self._detect(image, self.image_points) for image in images]
        )
        return [self._similarity(*each, bank) for each in zip(images, detected, grids, strict=True)]

    def _similarity(
        self, image: Image, detected: Detected, grid: tuple[int, int], bank: Sequence[Arrays]
    ) -> Similarity:
        maps = np.zeros((len(bank), *grid), dtype=np.float32)
        presence = np.zeros(len(bank), dtype=np.float32)
        placements = []
        fine = (FINER * grid[0], FINER * grid[1])
        seen = cache(lambda: _colours(detected[2], (fine[1], fine[0])))  # most have no placement
        closer: Detected | None = None
        for index, entry in enumerate(bank):
            placed = list(self._placed(detected, entry, grid, seen))
            if self.verify and sum(score >= _SURE for score, _, _ in placed) >= _MANY:
                closer = closer or self._closer(image)
                placed += self._placed(closer, entry, grid, seen)
            for score, coarse, _ in placed:
                maps[index] = np.maximum(maps[index], score * coarse)
                presence[index] = max(presence[index], score)
            none = np.zeros((0, *fine), dtype=np.float32)
            placements.append(
                np.concatenate([none, *(s * outline[None] for s, _, outline in placed)])
            )
        return Similarity(maps=maps, presence=presence, placements=tuple(placements))

    def _closer(self, image: Image) -> Detected:
        """Keypoints for another look: of several copies some are too small for the first one."""
        side = round(_CLOSER * self.long_side)
        work = work_image(image, side, enough=_CLOSER_ENOUGH * side)
        return _keypoints(work, round(_CLOSER * self.image_points))

    def _placed(
        self, detected: Detected, entry: Arrays, grid: tuple[int, int], seen: Callable[[], Plane]
    ) -> Iterator[tuple[float, Map, Map]]:
        """Presence of each placement, and its outline on the grid and on a finer one.

        `seen` gives the (4 gh, 4 gw, 3) colours of the image, to verify it.
        """
        frames, descriptors, work = detected
        fine = (FINER * grid[0], FINER * grid[1])
        for view, mirrored, found in self._find(frames, descriptors, entry):
            extent = entry["extents"][view].astype(np.float64)
            shape = (work.shape[0], work.shape[1])
            warp = Warp(found.matrix, mirrored, (extent[0], extent[1]), shape)
            mask = entry["masks"][view].astype(np.float32) / np.float32(255)
            coarse, outline = (np.clip(warp(mask, cells), 0, 1) for cells in (grid, fine))
            inliers = float(found.support)
            if self.verify:
                if "patches" not in entry:
                    raise PromptError(
                        "the prompts were described by an earlier version of ipseg; give their "
                        "images again, or set instances.mode=one"
                    )
                expected = warp(_colours(entry["patches"][view]), fine, extend=True)
                checked = verified(expected, outline, seen())
                inliers += _AS_INLIERS * checked.correlation
                outline = outline * checked.agreement
                coarse = resize_map(outline, grid, "area")
            yield float(1 - 2 ** (-max(0.0, inliers - 3) / self.half_sure)), coarse, outline

    def _detect(self, image: Image, most: int) -> Detected:
        """See `_keypoints`."""
        return _keypoints(work_image(image, self.long_side), most)

    def _find(
        self, frames: Vector, descriptors: Descriptors, entry: Arrays
    ) -> list[tuple[int, bool, Placement]]:
        """All accepted placements of each view and of its mirror image."""
        found = []
        least = _FEWEST - 1 if self.verify else _FEWEST
        stored = entry["frames"].astype(np.float64)
        for mirrored in (False, True):
            codes = entry["descriptors"].astype(np.float32)
            pairs = _match(descriptors, codes[:, _MIRROR] if mirrored else codes, self.ratio)
            for view, (width, _) in enumerate(entry["extents"].astype(np.float64)):
                of_view = pairs[stored[pairs[:, 1], 0] == view]
                source = stored[of_view[:, 1], 1:]
                if mirrored:
                    source = _mirror_frames(source, width)
                target = frames[of_view[:, 0]]
                diameter = _diameter(entry, view)
                for _ in range(self.instances):
                    placement = place(source, target, diameter)
                    if placement is None or placement.support < least:
                        break
                    found.append((view, mirrored, placement))
                    rest = np.setdiff1d(np.arange(len(source)), placement.inliers)
                    source, target = source[rest], target[rest]
        return found


def _keypoints(work: Image, most: int) -> Detected:
    """Keypoints, strongest first: frames (m, 4), descriptors (m, 128), and the work image."""
    gray = cv2.cvtColor(work, cv2.COLOR_RGB2GRAY)
    sift = cv2.SIFT.create(nfeatures=most, contrastThreshold=0.02)
    points, raw = sift.detectAndCompute(gray, None)
    if raw is None or len(points) == 0:
        return np.zeros((0, 4)), np.zeros((0, 128), dtype=np.float32), work
    frames = np.array([(*p.pt, p.size, p.angle, p.response) for p in points], dtype=np.float64)
    order = np.lexsort((frames[:, 3], frames[:, 1], frames[:, 0], -frames[:, 4]))[:most]
    # Square roots make Euclidean distance the Hellinger distance (Arandjelovic, CVPR 2012);
    # integers make distances exact, so they are the same on all machines.
    share = raw[order] / np.maximum(raw[order].sum(axis=1, keepdims=True), 1e-6)
    return frames[order, :4], np.minimum(np.round(_LEVELS * np.sqrt(share)), 255), work


def _colours(image: Image, size: tuple[int, int] | None = None) -> npt.NDArray[np.float32]:
    """CIELAB of an image, at another (width, height) if one is given."""
    if size is not None:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return to_lab(np.ascontiguousarray(image))


def _mirror_frames(frames: Vector, width: float) -> Vector:
    mirrored = frames.copy()
    mirrored[:, 0] = width - 1 - frames[:, 0]
    mirrored[:, 3] = (180 - frames[:, 3]) % 360
    return mirrored


def _match(image: Descriptors, prompt: Descriptors, ratio: float) -> npt.NDArray[np.int64]:
    """Pairs (image index, prompt index) that pass the ratio test: (m, 2).

    The second nearest is that in the prompt, so that an object can be in the image twice.
    """
    if len(image) == 0 or len(prompt) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    squares = (image**2).sum(axis=1)[:, None] + (prompt**2).sum(axis=1)[None, :]
    distance = squares - 2 * (image @ prompt.T)
    rows, best = np.arange(len(image)), np.argmin(distance, axis=1)
    nearest = distance[rows, best]
    distance[rows, best] = np.inf
    accepted = nearest < ratio**2 * distance.min(axis=1)
    return np.stack([rows[accepted], best[accepted]], axis=1)


def _diameter(entry: Arrays, view: int) -> float:
    """Square root of the object's area in the prompt, pixels of its work image."""
    width, height = entry["extents"][view].astype(np.float64)
    share = float(entry["masks"][view].astype(np.float64).mean()) / 255
    return float(np.sqrt(max(share, 1e-4) * width * height))
