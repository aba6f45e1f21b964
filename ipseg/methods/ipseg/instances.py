"""Where the instances of a concept are: places in a similarity map, each with points of its own.

An extractor that tells instances apart by itself (local features in a consistent arrangement)
places some. The others are peaks of the map that is left when these are taken off: the region
around each is bounded by valleys (watershed), and counts as an instance if it looks as much like
the prompt as the instances that are known do. There is no measure that would hold for all images
and features, but in one image the same object looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from ipseg.features.similarity import FINER
from ipseg.methods.ipseg.points import NEGATIVE, POSITIVE, PointSelection
from ipseg.rows import Map, Mask
from ipseg.saliency.foreground import otsu
from ipseg.segmenters.prompt import PointPrompt
from ipseg.vision.geometry import cell_centres, resize_map

_BLUR = 1.0  # cells
_LOWEST = 1e-6  # height above the threshold, in units of the map
_NEAR_BEST = 0.5  # least evidence of a placement as a share of the best one's
_FEWEST = 4  # cells of an instance
_SIZES = 1.8  # ratio up to which two areas are alike
_OTHERS = 4  # nearest other instances that a prompt has a negative point on


@dataclass(frozen=True)
class Instances:
    """How many objects of a concept are looked for in an image.

    Attributes:
        mode: 'one' takes the whole similarity map for one object, as published. 'each' looks for
            every instance; `ipseg segment` and `ipseg.load` do that by default.
        max_instances: of one concept in one image.
        likeness: an instance that the map alone has found is kept if its evidence of presence is at
            least this share of that of the most certain one in the image; the square of it is
            enough where it is as large as one of them.
        convincing: least evidence of a placement by which the concept is certainly there. Where
            there is none, further instances have at least this evidence of presence, and the size
            of one of those that are known.
        valley: the map between two instances falls at least by this share of the lower one's height
            above its surroundings; otherwise they are one.
        repeated: a mask whose share of pixels in masks that are there already is at least this
            is a repeat, and left out.
    """

    mode: Literal["one", "each"] = "one"
    max_instances: Annotated[int, Field(ge=1)] = 40
    likeness: Annotated[float, Field(ge=0, le=1)] = 0.85
    convincing: Annotated[float, Field(ge=0, le=1)] = 0.35
    valley: Annotated[float, Field(ge=0, le=1)] = 0.5
    repeated: Annotated[float, Field(gt=0, le=1)] = 0.5


@dataclass(frozen=True)
class Place:
    """Where an instance may be.

    Attributes:
        cells: (gh, gw) bool, what it is thought to cover; never empty.
        placement: (4 gh, 4 gw) in [0, 1], its evidence inside of its outline, from an extractor
            that places instances; None if the map found it.
    """

    cells: Mask
    placement: Map | None = None

    def is_certain(self, settings: Instances) -> bool:
        """Whether an extractor has placed it, convincingly."""
        return self.placement is not None and float(self.placement.max()) >= settings.convincing


def region_evidence(local: Map, cells: Mask) -> float:
    """Mean of the best third of a region's cells; 0 for an empty one.

    Cells near its outline show something else as well; of a small region that is most of them.
    """
    inside = np.sort(local[cells])
    return float(inside[2 * len(inside) // 3 :].mean()) if len(inside) else 0.0


def placed_places(placements: npt.NDArray[np.float32], settings: Instances) -> list[Place]:
    """The placements, the most certain first, without repeats and without much weaker ones.

    Args:
        placements: (n, 4 gh, 4 gw) in [0, 1], evidence inside of each and 0 outside.
        settings: of instances.
    """
    scores = placements.max(axis=(1, 2), initial=0)
    kept: list[Place] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < _NEAR_BEST * scores.max() or scores[index] <= 0:
            break
        placement = placements[index]
        rows, columns = placement.shape
        share = resize_map(placement, (rows // FINER, columns // FINER), "area") / scores[index]
        cells = share >= min(0.5, float(share.max()))
        if all(_repeats(cells, other.cells) < settings.repeated for other in kept):
            kept.append(Place(cells, placement))
    return kept[: settings.max_instances]


def _repeats(cells: Mask, other: Mask) -> float:
    """Intersection over the smaller of two regions."""
    return float((cells & other).sum() / min(cells.sum(), other.sum()))


def peaks(similarity: Map, free: Mask, settings: Instances) -> list[Place]:
    """Regions around the peaks of a map, the highest first.

    Args:
        similarity: (gh, gw), higher is more alike.
        free: (gh, gw) bool, cells that are not taken by an instance yet.
        settings: of instances.
    """
    if free.sum() < _FEWEST:
        return []
    low = float(similarity[free].min())
    lowered = np.where(free, similarity, np.float32(low)).astype(np.float32)
    level = np.asarray(
        cv2.GaussianBlur(lowered, (0, 0), _BLUR, borderType=cv2.BORDER_REFLECT_101), np.float32
    )
    threshold = otsu(level[free])
    above = free & (level > threshold)
    if not above.any():
        return []
    # In units of the logarithm of the height above the threshold, a valley of a given share has
    # the same depth at all peaks. Cut off by that depth, peaks without such a valley are one plain.
    height = np.where(above, np.log(np.maximum(level - threshold, _LOWEST) / _LOWEST), 0.0)
    depth = -np.log(max(_LOWEST, 1 - settings.valley))
    plains = local_maxima(reconstruction(np.maximum(height - depth, 0.0), height))
    _, markers = cv2.connectedComponents((plains & above).astype(np.uint8), connectivity=8)
    regions = watershed(-level, markers, mask=above)
    found = [Place(regions == label) for label in range(1, markers.max() + 1)]
    found = [place for place in found if place.cells.sum() >= _FEWEST]
    return sorted(found, key=lambda place: -float(level[place.cells].max()))


@dataclass(frozen=True)
class Known:
    """What the instances that are known in an image look like, for others to be compared with.

    Attributes:
        evidence: of presence at the most certain one, in [0, 1]; 0 if there is none.
        areas: cells that each covers.
        certain: whether an extractor has placed one, so that the concept is there.
    """

    evidence: float = 0.0
    areas: tuple[int, ...] = ()
    certain: bool = False

    def and_of(self, regions: Sequence[Mask], local: Map, *, certain: bool = False) -> Known:
        """With those that cover these cells."""
        evidence = [region_evidence(local, cells) for cells in regions]
        areas = [int(cells.sum()) for cells in regions]
        return Known(
            max([self.evidence, *evidence]), (*self.areas, *areas), self.certain or certain
        )

    def none_like(self, left: Mask, local: Map, settings: Instances) -> bool:
        """Whether no region of the cells that are left can be like them, wherever it is."""
        least, smallest = self.evidence * settings.likeness**2, float(_FEWEST)
        if not self.certain:
            least = max(least, settings.convincing)
            smallest = max([smallest, min(self.areas, default=0) / _SIZES])
        # No third of a region has more evidence than as many of the best cells anywhere.
        best = np.sort(local[left])[-int(np.ceil(smallest / 3)) :]
        return not len(best) or float(best.mean()) < least

    def like(self, cells: Mask, local: Map, settings: Instances) -> bool:
        """Whether what the map has found is like them: sooner, or only, if it is of their size."""
        size = max(1, int(cells.sum()))
        alike = any(1 / _SIZES <= size / max(1, area) <= _SIZES for area in self.areas)
        least = self.evidence * settings.likeness ** (2 if alike else 1)
        if not self.certain:
            if self.areas and not alike:
                return False
            least = max(least, settings.convincing)
        return region_evidence(local, cells) >= least


def places(
    similarity: Map,
    local: Map,
    placements: npt.NDArray[np.float32],
    taken: Mask,
    known: Known,
    settings: Instances,
) -> list[Place]:
    """Where the instances may be that are not found yet, the most certain first.

    Args:
        similarity: (gh, gw), higher is more alike.
        local: (gh, gw) in [0, 1], evidence of presence at each cell.
        placements: (n, 4 gh, 4 gw), see `placed_places`; none after the first round.
        taken: (gh, gw) bool, cells of instances that are found.
        known: what was found.
        settings: of instances.
    """
    found = placed_places(placements, settings)
    certain = any(place.is_certain(settings) for place in found)
    known = known.and_of([place.cells for place in found], local, certain=certain)
    for place in found:
        taken = taken | place.cells
    left = cv2.dilate(taken.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    if known.none_like(left, local, settings):
        return found[: settings.max_instances]
    others = peaks(similarity, left, settings)
    if not known.areas and others:  # they are compared with the best among them
        best = max(others, key=lambda place: region_evidence(local, place.cells))
        known = known.and_of([best.cells], local)
    found += [place for place in others if known.like(place.cells, local, settings)]
    return found[: settings.max_instances]


def prompts(
    found: Sequence[Place],
    similarity: Map,
    given: npt.NDArray[np.float32],
    size: tuple[int, int],
    selection: PointSelection,
) -> Iterator[tuple[PointPrompt, Map]]:
    """Points for each place, and the map without the other places.

    Args:
        found: places in the image.
        similarity: (gh, gw).
        given: (n, 3) points for the whole map: x, y, label; the negative ones serve all places.
        size: width and height of the image, pixels.
        selection: how cells become points.
    """
    if not found:
        return
    low = np.float32(similarity.min())
    centres = np.array([_middle(place.cells) for place in found])
    middles = cell_centres(centres[:, ::-1], similarity.shape, *size)
    background = given[given[:, 2] == NEGATIVE, :2]
    for index, place in enumerate(found):
        others = np.any(
            [p.cells for p in found if p is not place] or [~place.cells & False], axis=0
        )
        alone = np.where(others & ~place.cells, low, similarity)
        within = np.where(place.cells & ~others, similarity, low - 1)
        count = int((place.cells & ~others).sum()) or int(place.cells.sum())
        if not (place.cells & ~others).any():
            within = np.where(place.cells, similarity, low - 1)
        chosen = replace(selection, k=min(selection.k, count), k_negative=0)
        positive, _ = chosen.select(within.astype(np.float32), *size)
        gap = np.square(centres - centres[index]).sum(axis=1).astype(np.float64)
        gap[index] = np.inf
        near = np.argsort(gap, kind="stable")[: min(_OTHERS, len(found) - 1)]
        coords = np.concatenate([positive, background, middles[near]]).astype(np.float32)
        labels = np.full(len(coords), NEGATIVE, np.int8)
        labels[: len(positive)] = POSITIVE
        yield PointPrompt(coords, labels), alone.astype(np.float32)


def _middle(cells: Mask) -> tuple[int, int]:
    """Row and column of the cell farthest from the outline of a region."""
    padded = np.pad(cells.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)
