"""Functions from confidence to probability: fitted, chosen, refused, and kept as numbers."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ConfigError
from ipseg.scores.calibrator import Calibrator, check, fit, folds


def labels(n, true, seed=0):
    """Confidence, outcomes and images (two labels each) of a known probability."""
    draw = np.random.default_rng(seed)
    confidence = draw.uniform(0, 1, n)
    return confidence, draw.random(n) < true(confidence), [str(i // 2) for i in range(n)]


def sigmoid(x):
    return 1 / (1 + np.exp(-(2 * np.log(x / (1 - x)) - 1)))


def step(x):
    return np.where(x > 0.4, 0.9, 0.1)


def error(function, true):
    x = np.linspace(0.02, 0.98, 97)
    return np.abs(function(x) - true(x)).mean()


def test_a_sigmoid_is_found_again():
    found = fit(*labels(400, sigmoid))
    assert found.kind == "logistic"
    assert error(found, sigmoid) < 0.04
    assert found.labels == 400


def test_a_step_is_isotonic_where_there_are_labels_for_it():
    assert fit(*labels(400, step)).kind == "logistic"
    found = fit(*labels(2000, step))
    assert found.kind == "isotonic"
    assert error(found, step) < 0.05 < error(fit(*labels(400, step)), step)


def test_labels_that_are_apart_stay_finite():
    confidence = np.r_[np.linspace(0, 0.4, 40), np.linspace(0.6, 1, 20)]
    found = fit(confidence, confidence > 0.5, [str(n) for n in range(60)])
    assert 0 < found(0.0) < 0.05
    assert 0.5 < found(1.0) < 1


@pytest.mark.parametrize(
    ("n", "true", "match"),
    [
        (49, sigmoid, "49 labels, .* too few"),
        (200, lambda x: 0.99 + 0 * x, "200 labels, 19[0-9] of them positive"),
        (200, lambda x: 1 - sigmoid(x), "nothing to calibrate on"),
    ],
)
def test_labels_that_say_nothing_are_refused(n, true, match):
    confidence, outcomes, _ = labels(n, true)
    with pytest.raises(ConfigError, match=match):
        check(confidence, outcomes)


def test_images_are_never_on_both_sides():
    groups = [str(n % 7) for n in range(50)]
    for train, test in folds(groups):
        assert not {groups[n] for n in train} & {groups[n] for n in test}
    with pytest.raises(ConfigError, match="one image alone"):
        folds(["a", "a"])


@given(
    st.sampled_from([fit(*labels(100, sigmoid)), fit(*labels(2000, step))]),
    st.lists(st.floats(0, 1), min_size=2, max_size=9),
)
def test_probabilities_grow_and_are_the_same_when_read_back(found, confidence):
    values = found(sorted(confidence))
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= -1e-12).all()
    again = Calibrator.from_record(json.loads(json.dumps(found.record())))
    np.testing.assert_array_equal(again(sorted(confidence)), values)


def test_the_least_confidence_of_a_probability():
    found = fit(*labels(400, sigmoid))
    least = found.reaches(0.5)
    assert found(least) >= 0.5 > found(least - 0.001)
    assert Calibrator("isotonic", knots=((0.0, 0.1), (1.0, 0.4))).reaches(0.5) is None
