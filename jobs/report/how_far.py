"""What is known of a run as a whole: its own account when it is finished, else what is there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from ipseg.errors import OutputError
from ipseg.wording import counted
from pipeline.labels.presence import quality_at
from pipeline.labels.thresholds import suggested
from pipeline.runfolder.folder import read_json
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.status import STATUSES, RunStatus
from pipeline.runfolder.survey import survey_run

_STATES = {
    "stopped": "This run is not finished, and nothing is going on",
    "running": "This run is going on",
}


def how_far(manifest: Manifest) -> tuple[dict[str, Any], str]:
    """What metrics.json says, or would say by now; and a sentence if the run is not finished.

    Raises:
        OutputError: nothing is written yet, or metrics.json is damaged.
    """
    out, problems = manifest.out, list[str]()
    metrics = read_json(f"{out}/metrics.json", problems)
    if problems:
        raise OutputError(problems[0])
    if manifest.runs[-1]["finished"] and metrics is not None:
        return metrics, ""
    status = survey_run(out, check_keys=False)
    if not status.done:
        raise OutputError(
            f"nothing is written to {out} yet; `ipseg status {shlex.quote(out)}` says how far it is"
        )
    return _so_far(status, manifest.about["concepts"]), _sentence(status, manifest.about["row_is"])


def _so_far(status: RunStatus, concepts: Sequence[str]) -> dict[str, Any]:
    found = suggested(status.out, concepts)
    seconds = 0.0
    if status.started is not None and status.last_written is not None:
        seconds = max(0.0, (status.last_written - status.started).total_seconds())
    return {
        "rows": {name: status.counts.get(name, 0) for name in STATUSES},
        "seconds": seconds,
        "images_per_second": status.rows_per_second,
        "stages": [],
        "suggested": found,
        "quality": quality_at(status.out, found),
        "baselines": None,
    }


def _sentence(status: RunStatus, row_is: str) -> str:
    state = _STATES.get(status.state, "This run may be going on")
    of = ""
    if status.expected is not None:
        of = f" of {'' if status.exact else 'about '}{counted(status.expected, row_is)}"
    when = f" by {status.last_written:%H:%M:%S %Z}" if status.last_written else ""
    return f"{state}: {status.done:,}{of} were written{when}; this page is about these."
