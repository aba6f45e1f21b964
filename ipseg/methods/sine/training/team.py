"""The workers of a training: which one this is, and means over all of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, distributed


@dataclass(frozen=True)
class Team:
    """Workers that take a part of each batch.

    Attributes:
        rank: number of this one, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def here() -> Team:
        """The process group of torch.distributed, or this process alone."""
        if not distributed.is_initialized():
            return Team()
        return Team(distributed.get_rank(), distributed.get_world_size())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all workers, which all must ask for; replaces the values."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values
