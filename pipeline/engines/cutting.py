"""Blocks of few rows straight out of the reading tasks.

Ray packs whatever a reading task yields into blocks of 128 MB, and a block goes to one worker. What
cuts them again (`Dataset.repartition`) is a task of its own that takes a whole CPU, for which there
is no option: more than a small machine has left beside its pools, and while the blocks wait for
the next stage it keeps that CPU. Such tasks and those that read ahead once held every slot for half
a minute while the stages behind them stood still. Fused into the reading task, and with no more of
these at a time than leave slots for others, cutting costs nothing.
"""

from __future__ import annotations

import pyarrow as pa
from ray.data import Dataset, TaskPoolStrategy
from ray.data._internal.logical.interfaces import LogicalPlan
from ray.data._internal.logical.operators import StreamingRepartition


def cut(dataset: Dataset, rows: int, cpus: float, reading: TaskPoolStrategy) -> Dataset:
    """The dataset in blocks of so many rows; only the last of a reading task's has fewer.

    Args:
        dataset: that was just read.
        rows: of a block.
        cpus: that a reading task takes.
        reading: how many of these run at a time. Ray fuses what agrees in this and in `cpus`.
    """
    passed = dataset.map_batches(  # Ray fuses cutting with this, and this with reading
        _as_it_is,
        batch_size=None,
        batch_format="pyarrow",
        compute=reading,
        num_cpus=cpus,
        udf_modifying_row_count=False,
    )
    cutting = StreamingRepartition(
        rows,
        input_dependencies=[passed._logical_plan.dag],
        ray_remote_args={"num_cpus": cpus},
        compute=reading,
    )
    return Dataset._from_parent(passed, LogicalPlan(cutting, passed.context))


def _as_it_is(table: pa.Table) -> pa.Table:
    return table
