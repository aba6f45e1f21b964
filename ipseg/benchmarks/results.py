"""Results of episodes: pixel counts from which every formula can be computed."""

from __future__ import annotations

import pyarrow as pa

# One row for each (episode, variant). Pixels that ground truth marks as ignored are not counted.
RESULTS = pa.schema(
    [
        ("episode", pa.int64()),
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("variant", pa.string()),  # settings of a sweep; "" in a run without a sweep
        ("query", pa.string()),  # key of the query image
        ("status", pa.string()),  # "ok", or "failed" with a message
        ("error_message", pa.string()),
        ("pixels", pa.int64()),  # evaluated, at the resolution of the protocol
        ("intersection", pa.int64()),
        ("union", pa.int64()),
        ("ground_truth", pa.int64()),  # of the ground truth
        ("predicted", pa.int64()),  # of the prediction
        # DAVIS' F: pixels on the 1-px outline, and those of them close enough to the other outline.
        ("ground_truth_boundary", pa.int64()),
        ("ground_truth_matched", pa.int64()),
        ("predicted_boundary", pa.int64()),
        ("predicted_matched", pa.int64()),
        # Where the ground truth tells instances apart: how many there are, how many were found, and
        # those of them that are one at IoU 0.5; of every object its score, and the IoU up to which
        # it is one (see `ipseg.metrics.instances.levels`).
        ("instances", pa.int64()),
        ("instances_found", pa.int64()),
        ("instances_matched", pa.int64()),
        ("instance_scores", pa.list_(pa.float32())),
        ("instance_levels", pa.list_(pa.int32())),
        ("predicted_iou", pa.float32()),
        ("score", pa.float32()),
    ]
)
