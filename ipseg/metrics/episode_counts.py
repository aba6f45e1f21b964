"""Pixel counts of evaluated episodes, as columns of integers in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipseg.errors import ConfigError

Integers = npt.NDArray[np.int64]
BOUNDARY = (
    "ground_truth_boundary",
    "ground_truth_matched",
    "predicted_boundary",
    "predicted_matched",
)
INSTANCES = ("instances", "instances_found", "instances_matched")
LEVELS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # IoU of instances, as COCO
RANKED = ("instances", "instance_scores", "instance_levels")


@dataclass(frozen=True)
class EpisodeCounts:
    """N rows of status "ok", sorted by class and, within a class, by episode.

    Attributes:
        classes: (C,) ids of the classes that occur, ascending.
        names: their names.
        starts: (C + 1,) index of the first row of each class; the last is N.
        columns: name -> (N,) counts.
    """

    classes: Integers
    names: tuple[str, ...]
    starts: Integers
    columns: dict[str, Integers]

    @staticmethod
    def of(results: pa.Table, wanted: tuple[str, ...]) -> EpisodeCounts:
        """The columns `wanted` of a table of one fold and one variant, without failed rows.

        Raises:
            ConfigError: that run did not count them (DAVIS' boundaries, single instances).
            ValueError: there are several folds or variants, or an episode of a class is there
                twice.
        """
        for column in ("fold", "variant"):
            found = pc.unique(results[column]).to_pylist()
            if len(found) > 1:
                raise ValueError(
                    f"results of several {column}s cannot be measured together: {found}"
                )
        rows = results.filter(pc.equal(results["status"], "ok"))
        for column in wanted:
            if rows[column].null_count:
                raise ConfigError(
                    f"these results have no {column}: boundaries are only counted for video, "
                    "instances where ground truth tells them apart; choose another formula"
                )
        episodes, classes = (rows[name].to_numpy() for name in ("episode", "class_id"))
        order = np.lexsort((episodes, classes))
        episodes, classes = episodes[order], classes[order].astype(np.int64)
        twice = (np.diff(classes) == 0) & (np.diff(episodes) == 0)
        if twice.any():
            raise ValueError(f"episode {episodes[:-1][twice][0]} is there twice")
        ids, firsts = np.unique(classes, return_index=True)
        return EpisodeCounts(
            classes=ids,
            names=tuple(rows["class_name"].take(order[firsts]).to_pylist()),
            starts=np.append(firsts, len(classes)).astype(np.int64),
            columns={name: _array(rows[name])[order] for name in wanted},
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def each_class(self) -> list[EpisodeCounts]:
        """The same for each class separately."""
        return [
            EpisodeCounts(
                self.classes[n : n + 1],
                self.names[n : n + 1],
                np.array([0, end - start]),
                {name: column[start:end] for name, column in self.columns.items()},
            )
            for n, (start, end) in enumerate(
                zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
            )
        ]

    def sums(self, weights: Integers | None = None) -> dict[str, Integers]:
        """Name -> (C,) sums over the rows of each class, multiplied by weights (N,)."""
        if not len(self):
            return {name: column[:0] for name, column in self.columns.items()}
        return {
            name: np.add.reduceat(column if weights is None else column * weights, self.starts[:-1])
            for name, column in self.columns.items()
        }


def _array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Integers, or of a column of lists an array of arrays."""
    values = column.combine_chunks().to_numpy(zero_copy_only=False)
    return np.asarray(values)
