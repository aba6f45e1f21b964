import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.pages.charts import BINS, bin_of, histogram, mirrored


@given(st.lists(st.integers(0, 1000), min_size=BINS, max_size=BINS))
def test_bars_stay_in_the_chart(counts: list[int]):
    bars = histogram(np.array(counts))
    assert [bar.count for bar in bars] == [count for count in counts if count]
    assert all(0 < bar.height <= 1 for bar in bars)
    assert all(bar.low == bar.x for bar in bars)
    both = mirrored([np.array(counts), np.array(counts)], [])
    assert both.up_total == 2 * sum(counts)
    assert both.down == []


def test_every_value_has_a_bin():
    assert [bin_of(v) for v in (-1.0, 0.0, 0.049, 0.05, 0.999, 1.0, 7.0, float("nan"))] == [
        *(0, 0, 0, 1, BINS - 1, BINS - 1, BINS - 1, 0)
    ]
