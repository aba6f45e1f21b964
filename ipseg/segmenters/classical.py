"""A point-prompted segmenter without learned weights: graph diffusion, then GrabCut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.networks.shared import LastBatch
from ipseg.rows import Image, Map, Mask
from ipseg.saliency.background import Vector, centre_prior, diffuse
from ipseg.saliency.foreground import clean, grabcut, otsu, overlap
from ipseg.saliency.regions import OnRegions
from ipseg.segmenters.prompt import Decoded, PointPrompt
from ipseg.vision.geometry import resize_map
from ipseg.vision.superpixels import Superpixels

_EDGE_SIGMA = 8.0  # Lab units
_SMALLEST_EDGE = 1e-3
_DISC = 4  # radius around a point that counts as its label, pixels of the work image
_SEED_TRUST = 8.0  # evidence of a superpixel that is covered by points
_WEAK_TRUST = 1e-6  # keeps the system solvable without evidence
_UNFITTED = 0.9  # quality factor of coarse superpixel outlines
_CENTRE_SIGMA = 0.35  # image sides


@dataclass(frozen=True)
class Encoded:
    """What is computed once for each image, for all concepts.

    Attributes:
        work: (h, w, 3) uint8, the resized image for all computations.
        shape: height, width of the original image.
        pieces: its superpixels.
        links: (n, n) similarity of touching superpixels.
        background: (n,) evidence in [0, 1] from the image border.
        contrast: (n,) evidence in [0, 1] from contrast to the background, near the centre.
    """

    work: Image
    shape: tuple[int, int]
    pieces: Superpixels
    links: npt.NDArray[np.float64]
    background: Vector
    contrast: Vector


@dataclass
class ClassicalSegmenter(OnRegions):
    """Random walker on superpixels (Grady, PAMI 2006) with an outline refined by GrabCut.

    Two candidates: the refined outline and, in case GrabCut diverges, that of the random walker.

    Attributes:
        long_side: longer side of the work image, pixels.
        regions: number of superpixels.
        border_prior: weight of "regions similar to the border are background, contrast means
            object". Lower it for features that recognise the object well, and for objects
            that fill the frame.
        map_weight: evidence per unit of the dense map that comes with the points. The map is
            a logit in standard scores: values a few units from its threshold are certain.
        iterations: GrabCut iterations.
    """

    long_side: Annotated[int, Field(ge=1)] = 320
    regions: Annotated[int, Field(ge=2)] = 250
    border_prior: Annotated[float, Field(ge=0)] = 1.0
    map_weight: Annotated[float, Field(ge=0)] = 0.8
    iterations: Annotated[int, Field(ge=1)] = 1

    takes_boxes: ClassVar[bool] = False
    takes_similarity: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._last = LastBatch()

    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Everything that does not depend on points, for each (H, W, 3) uint8 RGB image."""
        return self._last.get(images, lambda: [self._encode(image) for image in images])

    def _encode(self, image: Image) -> Encoded:
        found = self._regions.of(image)
        pieces, distance = found.pieces, found.distance
        strength = np.exp(-(distance**2) / (2 * _EDGE_SIGMA**2)) + _SMALLEST_EDGE
        return Encoded(
            work=found.work,
            shape=(image.shape[0], image.shape[1]),
            pieces=pieces,
            links=np.where(pieces.touching, strength, 0.0),
            background=found.background,
            contrast=found.contrast * centre_prior(pieces, _CENTRE_SIGMA),
        )

    def decode(
        self,
        embedding: Encoded,
        point_coords: npt.NDArray[np.float32],
        point_labels: npt.NDArray[np.integer],
        *,
        boxes: npt.NDArray[np.float64] | None = None,
        mask_input: Map | None = None,
        multimask: bool = True,
    ) -> Decoded:
        """Masks for one set of points.

        Args:
            embedding: of the image, from `encode`.
            point_coords: (n, 2) float32 x, y in pixels of the image.
            point_labels: (n,) 1 for object, 0 for background.
            boxes: not supported; must be None.
            mask_input: (h, w) float32 dense prior on any grid over the image, higher is object;
                None uses only the points.
            multimask: False returns only the best candidate.

        Returns:
            Candidates, see `Decoded`.
        """
        if boxes is not None:
            raise ValueError("the classical segmenter takes points and a dense map, not a box")
        cells, positive = self._at_work(embedding, point_coords, point_labels)
        evidence = self._evidence(embedding, cells, positive, mask_input)
        trust = evidence.sum(axis=0) + _WEAK_TRUST
        probability = diffuse(embedding.links, evidence[1] / trust, trust)
        soft = _smooth(embedding.pieces, probability)

        fitted = clean(grabcut(embedding.work, soft, iterations=self.iterations))
        masks = [_components_at(mask, cells[positive]) for mask in (fitted, clean(soft > 0.5))]
        stable = overlap(*masks)
        quality = [stable * _agreement(mask, soft, cells, positive) for mask in masks]
        quality[1] *= _UNFITTED
        if not multimask:
            best = int(np.argmax(quality))
            masks, quality = [masks[best]], [quality[best]]
        return _decoded(embedding, masks, quality, soft)

    def decode_apart(self, embedding: Encoded, prompts: Sequence[PointPrompt]) -> Iterator[Decoded]:
        """Masks of several objects that look alike: a random walker with a label for each.

        The outline of all of them together is refined by GrabCut; each pixel within belongs to the
        object that its superpixel is nearest to.

        Args:
            embedding: of the image, from `encode`.
            prompts: for each object its points and, in `mask_input`, a map without the others.

        Yields:
            One candidate for each prompt; they share pixels of their outline at most.
        """
        work, pieces = embedding.work, embedding.pieces
        placed = [self._at_work(embedding, each.coords, each.labels) for each in prompts]
        own = np.stack(
            [
                self._evidence(embedding, *at, each.mask_input)
                for at, each in zip(placed, prompts, strict=True)
            ]
        )
        # What speaks against one object may speak for another; what speaks against all of them is
        # background.
        against, of_each = own[:, 0].min(axis=0), own[:, 1]
        evidence = np.stack([against, of_each.max(axis=0)])
        trust = evidence.sum(axis=0) + _WEAK_TRUST
        soft = _smooth(pieces, diffuse(embedding.links, evidence[1] / trust, trust))
        fitted = grabcut(work, soft, iterations=self.iterations)
        shared = self.border_prior * embedding.contrast
        claims = np.maximum(of_each - shared, 0)
        trust = claims.sum(axis=0) + _WEAK_TRUST
        shares = np.stack(
            [_smooth(pieces, diffuse(embedding.links, each / trust, trust)) for each in claims]
        )
        owner = shares.argmax(axis=0)
        for n, at in enumerate(placed):
            yield self._part(embedding, fitted & (owner == n), soft, shares[n], owner == n, *at)

    def _part(
        self,
        embedding: Encoded,
        fitted: Mask,
        soft: Map,
        share: Map,
        own: Mask,
        cells: npt.NDArray[np.int64],
        positive: npt.NDArray[np.bool_],
    ) -> Decoded:
        """The better one of the two candidates of one object, as in `decode`."""
        soft = np.where(own, soft, np.minimum(soft, share))
        masks = [clean(_components_at(fitted, cells[positive]))]
        masks.append(clean(_components_at(own & (soft > 0.5), cells[positive])))
        stable = overlap(*masks)
        quality = [stable * _agreement(mask, soft, cells, positive) for mask in masks]
        quality[1] *= _UNFITTED
        best = int(np.argmax(quality))
        return _decoded(embedding, [masks[best]], [quality[best]], soft)

    def _at_work(
        self,
        embedding: Encoded,
        point_coords: npt.NDArray[np.float32],
        point_labels: npt.NDArray[np.integer],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Points in whole pixels of the work image, (n, 2), and which of them are positive."""
        height, width = embedding.work.shape[:2]
        scale = np.array([width, height]) / np.array([embedding.shape[1], embedding.shape[0]])
        points = np.asarray(point_coords, dtype=np.float64).reshape(-1, 2) * scale
        cells = np.clip(points.astype(np.int64), 0, np.array([width, height]) - 1)
        return cells, np.asarray(point_labels).ravel() == 1

    def _evidence(
        self,
        embedding: Encoded,
        cells: npt.NDArray[np.int64],
        positive: npt.NDArray[np.bool_],
        mask_input: Map | None,
    ) -> npt.NDArray[np.float64]:
        """Evidence for background and for object: (2, n) float64, >= 0."""
        pieces = embedding.pieces
        evidence = self.border_prior * np.stack([embedding.background, embedding.contrast])
        for row, chosen in enumerate((~positive, positive)):
            evidence[row] += _SEED_TRUST * _cover(pieces, cells[chosen])
        if mask_input is not None:
            shape = (embedding.work.shape[0], embedding.work.shape[1])
            logit = pieces.mean(resize_map(mask_input, shape, "area")) - otsu(mask_input)
            evidence += self.map_weight * np.stack([np.maximum(-logit, 0), np.maximum(logit, 0)])
        return evidence


def _smooth(pieces: Superpixels, values: Vector) -> Map:
    """Values of superpixels as a map, (h, w), softened at their outlines."""
    return np.asarray(cv2.GaussianBlur(pieces.paint(values), (0, 0), 1.0), dtype=np.float32)


def _decoded(
    embedding: Encoded, masks: Sequence[Mask], quality: Sequence[float], soft: Map
) -> Decoded:
    """Candidates of the work image at the size of the original."""
    clipped = np.clip(soft, 1e-4, 1 - 1e-4)
    return Decoded(
        masks=np.stack(
            [resize_map(m.astype(np.float32), embedding.shape, "area") >= 0.5 for m in masks]
        ),
        predicted_iou=np.asarray(quality, dtype=np.float32),
        low_res_logits=np.stack([np.log(clipped / (1 - clipped))] * len(masks)).astype(np.float32),
    )


def _cover(pieces: Superpixels, cells: npt.NDArray[np.int64]) -> Vector:
    """Share of each superpixel that is covered by points: (n,) float64 in [0, 1]."""
    disc = np.zeros(pieces.labels.shape, dtype=np.uint8)
    for x, y in cells:
        cv2.circle(disc, (int(x), int(y)), _DISC, 1, thickness=-1)
    return pieces.mean(disc.astype(np.float32))


def _components_at(mask: Mask, cells: npt.NDArray[np.int64]) -> Mask:
    """Components with a positive point; all components if there is none."""
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    chosen = np.zeros(count, dtype=bool)
    chosen[parts[cells[:, 1], cells[:, 0]]] = True
    chosen[0] = False
    return chosen[parts] if chosen.any() else mask


def _agreement(
    mask: Mask,
    soft: Map,
    cells: npt.NDArray[np.int64],
    positive: npt.NDArray[np.bool_],
) -> float:
    """Agreement of a mask with its prompt, in [0, 1].

    The share of points on the correct side of the outline, times the certainty of the random
    walker: its mean probability inside minus that outside.
    """
    if not mask.any() or mask.all():
        return 0.0
    correct = float((mask[cells[:, 1], cells[:, 0]] == positive).mean()) if len(cells) else 0.5
    certainty = float(soft[mask].mean() - soft[~mask].mean())
    return correct * max(0.0, certainty)
