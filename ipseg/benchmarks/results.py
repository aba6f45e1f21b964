"""What an episode came to: integers from which every formula can be computed again."""

from __future__ import annotations

import pyarrow as pa

# One row for each (episode, variant). Pixels that ground truth leaves open are in none of the sums.
RESULTS = pa.schema(
    [
        ("episode", pa.int64()),
        ("fold", pa.string()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
        ("variant", pa.string()),  # settings of a sweep, "" for a run with one setting
        ("query", pa.string()),  # key of the query picture
        ("status", pa.string()),  # "ok", or "failed" with a message
        ("error_message", pa.string()),
        ("pixels", pa.int64()),  # judged, at the evaluation resolution
        ("intersection", pa.int64()),
        ("union", pa.int64()),
        ("truth", pa.int64()),  # of the ground truth
        ("predicted", pa.int64()),  # of the prediction
        # Boundaries (DAVIS' F): pixels on the 1-px outline, and those within reach of the other's.
        ("truth_boundary", pa.int64()),
        ("truth_matched", pa.int64()),
        ("predicted_boundary", pa.int64()),
        ("predicted_matched", pa.int64()),
        ("predicted_iou", pa.float32()),
        ("score", pa.float32()),
    ]
)
