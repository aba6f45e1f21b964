import time
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ipseg.columns import ERROR_COLUMNS, to_table
from ipseg.errors import PlanError, WeightsError
from ipseg.rows import Step
from jobs.bench.synthetic import SyntheticMatch, synthetic_steps
from pipeline.planning.calibration import calibrate, calibration_rows, seconds_per_row, time_stage
from pipeline.stages.stage import build_stages

ROWS = [{"key": f"{i}", "uri": ""} for i in range(16)]


def stages(steps):
    return build_stages(steps, ("key", "uri"), ("key", "objects"))


def test_stages_are_measured_one_after_the_other():
    costs = calibrate(stages(synthetic_steps(match=0.004, segment=0.012)), ROWS, 4)
    assert list(costs) == ["match", "points", "segment"]
    seconds = seconds_per_row(costs)
    assert seconds["match"] >= 0.004
    assert seconds["segment"] >= 0.012
    assert seconds["points"] < seconds["match"] < seconds["segment"]


def test_what_only_the_first_batch_costs_counts_as_setup():
    class SlowStart(SyntheticMatch):
        def __call__(self, rows):
            if not vars(self).setdefault("warm", False):
                self.warm = True
                time.sleep(0.3)
            return super().__call__(rows)

    stage = stages([SlowStart(0.001), *synthetic_steps()[1:]])[0]
    cost, table = time_stage(stage, to_table(ROWS, ("key", "uri", *ERROR_COLUMNS)), 4)
    assert cost.setup_seconds >= 0.25
    assert cost.seconds_per_row < 0.1
    assert table.num_rows == len(ROWS)


@dataclass
class Refuses(Step):
    name: ClassVar[str] = "match"
    requires: ClassVar[tuple[str, ...]] = ("key",)
    provides: ClassVar[tuple[str, ...]] = ("similarity",)
    loads_model: ClassVar[bool] = True
    at_setup: bool = False

    def setup(self):
        if self.at_setup:
            raise WeightsError("no weights")

    def __call__(self, rows):
        raise ValueError("no image at all")


def test_rows_that_all_fail_measure_nothing():
    with pytest.raises(
        PlanError, match=r"all of the first 16 rows failed.*'match'.*no image at all"
    ):
        calibrate(stages([Refuses()]), ROWS, 4)


def test_missing_weights_are_said_as_they_are():
    with pytest.raises(WeightsError, match="no weights"):
        calibrate(stages([Refuses(at_setup=True)]), ROWS, 4)


def test_an_empty_source_measures_nothing():
    with pytest.raises(PlanError, match="no rows"):
        calibrate(stages(synthetic_steps()), [], 4)


def test_large_batches_are_measured_more_than_once():
    assert calibration_rows(4) == 16
    assert calibration_rows(1) == 16
    assert calibration_rows(32) == 128
