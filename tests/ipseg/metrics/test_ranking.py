import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipseg.metrics import average_precision


def brute_average_precision(scores, present):
    total, last = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [p for s, p in zip(scores, present, strict=True) if s >= threshold]
        recall = sum(chosen) / sum(present)
        total += (recall - last) * sum(chosen) / len(chosen)
        last = recall
    return total


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=25))
def test_average_precision_against_its_definition(pairs):
    scores = [score / 8 for score, _ in pairs]
    present = [there for _, there in pairs]
    value = average_precision(scores, present)
    if all(present) or not any(present):
        assert value is None
    else:
        assert value == pytest.approx(brute_average_precision(scores, present))
        assert 0 < value <= 1


def test_average_precision_of_known_rankings():
    assert average_precision([0.9, 0.8, 0.2, 0.0], [True, True, False, False]) == 1.0
    assert average_precision([0.5, 0.5, 0.5, 0.5], [True, False, False, False]) == 0.25
    assert average_precision(np.array([0.1, 0.9]), np.array([True, False])) == 0.5
