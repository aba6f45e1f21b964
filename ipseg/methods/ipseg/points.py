"""From a similarity map to point prompts: the best and worst cells, gathered by k-means.

Source: IPSeg (arXiv 2310.10912), section 3.3; ties and coordinates as the project fixed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ipseg.methods.ipseg.best_kmeans import best_kmeans
from ipseg.rows import Map
from ipseg.vision.geometry import cell_centres

POSITIVE, NEGATIVE = 1, 0


@dataclass(frozen=True)
class PointSelection:
    """Which cells of a map become point prompts.

    Attributes:
        k: most similar cells that are gathered into positive points.
        clusters: positive points they become, at most.
        k_negative: least similar cells that are gathered into negative points; None for as many
            as `k`, 0 for no negative points.
        clusters_negative: negative points they become, at most; None for as many as `clusters`.
        blur: Gaussian sigma, in cells, that smooths the map before cells are ranked; 0 for none.
        snap: move each point to the nearest of the cells it stands for; otherwise it is their
            mean, which may fall between the parts of an object.
        seed: of the k-means starts.
        kmeans: 'sklearn' takes the best of several starts, as scikit-learn does; 'released' is
            the published code's own, which needs torch.
        y_bias: the published code's slip: a cell's y is its row plus its column's share of the
            width, so that points sink by up to one cell from left to right, and may end just
            below the image.
        empty_cluster: of kmeans 'released': 'collapse' leaves one point of all in that case, as
            published, 'keep_previous' the centre where it was.
        overlap: let a cell be positive and negative at once, as published: in a map whose cells
            are nearly all equal, or where `k` is more than half of them. Otherwise each kind takes
            at most half of the cells, and a cell that is positive is never negative.
    """

    k: Annotated[int, Field(ge=1)] = 32
    clusters: Annotated[int, Field(ge=1)] = 4
    k_negative: Annotated[int, Field(ge=0)] | None = None
    clusters_negative: Annotated[int, Field(ge=1)] | None = None
    blur: Annotated[float, Field(ge=0)] = 0.0
    snap: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    kmeans: Literal["sklearn", "released"] = "sklearn"
    y_bias: bool = False
    empty_cluster: Literal["collapse", "keep_previous"] = "keep_previous"
    overlap: bool = False

    def select(
        self, similarity: Map, width: int, height: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
        """Point prompts for one concept in one image.

        Unless `overlap` is set, a map of one cell has no negative point.

        Args:
            similarity: (gh, gw), a grid over the whole image; higher is more alike.
            width: pixels of the image.
            height: pixels of the image.

        Returns:
            `point_coords` (n, 2) float32, x, y in pixels, and `point_labels` (n,) int8, 1 for
            positive, 0 for negative. Positives first; each kind in order of the best cell that
            a point stands for ('released': in order of the starts).

        Raises:
            ValueError: the map has a value that is not finite.
        """
        ranked = np.ascontiguousarray(similarity, dtype=np.float32)
        if not np.isfinite(ranked).all():
            raise ValueError("the similarity map has values that are not finite")
        if self.blur > 0:
            # Mirrored at the border: repeating its cells would count a corner's outlier four times.
            blurred = cv2.GaussianBlur(ranked, (0, 0), self.blur, borderType=cv2.BORDER_REFLECT_101)
            ranked = np.asarray(blurred, dtype=np.float32)
        most = ranked.size if self.overlap else ranked.size // 2
        best = top_cells(ranked, min(self.k, max(1, most)))
        k_negative = min(self.k if self.k_negative is None else self.k_negative, most)
        # In fp32, as published; of equal cells those that are positive already are passed over.
        worst = top_cells(np.float32(1) - ranked, len(best) + k_negative)
        worst = worst[self.overlap | ~np.isin(worst, best)][:k_negative]
        rows, columns = ranked.shape
        positive = self._gather(best, columns, self.clusters)
        negative = self._gather(worst, columns, self.clusters_negative or self.clusters)
        cells = np.concatenate([positive, negative])
        coords = cell_centres(cells, (rows, columns), width, height)
        labels = np.repeat([POSITIVE, NEGATIVE], [len(positive), len(negative)]).astype(np.int8)
        return coords, labels

    def load(self) -> None:
        """Imports torch if k-means needs it: the first call of `select` would wait for it."""
        if self.kmeans == "released":
            import ipseg.methods.ipseg.kmeans  # noqa: F401

    def _gather(
        self, flat: npt.NDArray[np.int64], columns: int, clusters: int
    ) -> npt.NDArray[np.float64]:
        """(c, 2) x, y in cells: centres of at most `clusters` groups of ranked flat cells."""
        x, y = flat % columns, flat // columns
        cells = np.stack([x, flat / columns if self.y_bias else y], axis=1).astype(np.float64)
        if len(cells) == 0:
            return cells
        centres = self._centres(cells, clusters)
        if not self.snap:
            return centres
        distance = np.square(centres[:, None] - cells[None]).sum(axis=2)
        nearest: npt.NDArray[np.float64] = cells[distance.argmin(axis=1)]
        return nearest

    def _centres(self, cells: npt.NDArray[np.float64], clusters: int) -> npt.NDArray[np.float64]:
        if self.kmeans == "released":
            from ipseg.methods.ipseg.kmeans import released_kmeans  # torch is only needed here

            centres = released_kmeans(
                cells, clusters, seed=self.seed, empty_cluster=self.empty_cluster
            )
            return centres[~np.isnan(centres).any(axis=1)].astype(np.float64)
        if len(cells) <= clusters:
            return cells
        groups = best_kmeans(cells, clusters, self.seed)
        _, best_rank = np.unique(groups, return_index=True)
        members = [cells[groups == groups[rank]] for rank in np.sort(best_rank)]
        return np.stack([each.mean(axis=0) for each in members])


def top_cells(scores: npt.NDArray[Any], k: int) -> npt.NDArray[np.int64]:
    """Flat indices of the k highest cells, best first; of equal cells the lowest index first."""
    ranked = -scores.ravel()
    last = min(k, len(ranked) - 1)
    kept = np.flatnonzero(ranked <= np.partition(ranked, last)[last])  # few are left to sort
    return kept[np.argsort(ranked[kept], kind="stable")[:k]]
