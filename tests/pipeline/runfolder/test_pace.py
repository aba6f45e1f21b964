"""How fast rows are done, by the last minute."""

import pytest

from pipeline.runfolder.pace import Pace, pace_of_parts


def test_what_was_before_the_last_minute_does_not_count():
    pace = Pace(100.0)
    assert (pace.per_second, pace.seconds_for(5)) == (0.0, None)
    for second in range(10, 301, 10):  # three minutes of loading, then two rows a second
        pace.add(100.0 + second, max(0, 2 * (second - 180)))
    assert pace.per_second == pytest.approx(2.0)
    assert pace.seconds_for(100) == pytest.approx(50.0)


def test_a_run_that_slows_down_says_so():
    pace = Pace(0.0)
    for second in range(0, 101, 10):
        pace.add(float(second), 10 * second)
    for second in range(110, 201, 10):
        pace.add(float(second), 1000)
    assert (pace.per_second, pace.seconds_for(1)) == (0.0, None)


def test_parts_stand_for_equal_shares_of_the_rows():
    written = [1000.0 + n for n in range(20, 401, 20)]  # 20 parts in 400 s
    assert pace_of_parts(1000.0, written, 2000) == pytest.approx(100 / 20)
    late = [1000.0, 1010.0, *(1300.0 + n for n in range(10, 121, 10))]
    assert pace_of_parts(1000.0, late, 140) == pytest.approx(1.0), "ten rows every ten seconds"
    assert pace_of_parts(1000.0, [900.0, 990.0], 50) == 0.0, "of an earlier start"
    assert pace_of_parts(1000.0, [], 0) == 0.0
