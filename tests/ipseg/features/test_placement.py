import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipseg.features.placement import place


def frames(seed, count):
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.uniform(0, 200, (count, 2)),
            random.uniform(2, 20, count),
            random.uniform(0, 360, count),
        ]
    )


def moved(source, scale, degrees, shift):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack(
        [
            scale * source[:, :2] @ turn.T + shift,
            scale * source[:, 2],
            (source[:, 3] + degrees) % 360,
        ]
    )


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    st.floats(0.3, 3),
    st.floats(0, 360),
    st.floats(-100, 100),
)
def test_a_transform_is_recovered_among_as_many_wrong_matches(seed, scale, degrees, shift):
    source = frames(seed, 40)
    target = moved(source, scale, degrees, np.array([shift, -shift]))
    target[20:] = frames(seed + 1, 20)
    found = place(source, target, diameter=150.0)
    assert found is not None
    assert set(range(20)) <= set(found.inliers)
    landed = source[:20, :2] @ found.matrix[:, :2].T + found.matrix[:, 2]
    assert np.abs(landed - target[:20, :2]).max() < 0.05 * 150 * scale


def test_unrelated_matches_have_few_inliers():
    supports = []
    for seed in range(20):
        found = place(frames(seed, 30), frames(seed + 100, 30), diameter=150.0)
        supports.append(0 if found is None else found.support)
    assert max(supports) <= 4


def test_copies_of_one_keypoint_count_once():
    source = np.repeat(frames(0, 1), 12, axis=0)
    assert place(source, moved(source, 1.0, 0.0, np.zeros(2)), diameter=100.0) is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_matches_give_no_placement(count):
    assert place(frames(0, count), frames(0, count), diameter=100.0) is None
