"""Windows, names and pixels, worked out by hand."""

import numpy as np
import pytest
import torch

from ipseg.methods.groupvit.fitting import affinities, fitting, owners
from ipseg.methods.groupvit.network import Grouped, Window

SCALE = 5.0


def unit(*rows):
    found = np.array(rows, np.float32)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def softmax(values):
    high = np.exp(values - values.max(axis=-1, keepdims=True))
    return high / high.sum(axis=-1, keepdims=True)


@pytest.fixture
def parts():
    random = np.random.default_rng(4)
    return unit(*random.normal(size=(4, 6))), unit(*random.normal(size=(7, 6))), unit([1] * 6)[0]


def window(groups, whole, group_of=((0,),), left=0):
    return Window(
        0, left, torch.tensor(group_of), torch.from_numpy(groups), torch.from_numpy(whole)
    )


def test_a_group_fits_a_name_if_the_window_does_too(parts):
    groups, texts, whole = parts
    found = affinities(window(groups, whole), torch.from_numpy(texts), SCALE, best=3).numpy()
    of_window = SCALE * texts @ whole
    of_window[np.argsort(of_window)[:-3]] = -np.inf
    expected = softmax(SCALE * groups @ texts.T) * softmax(of_window)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found > 0).sum() == 3 * len(groups)


def test_windows_are_averaged_and_weak_pixels_have_no_name(parts):
    groups, texts, whole = parts
    one = window(groups, whole, [[0, 1], [2, 3]])
    two = window(groups, whole, [[1, 1], [0, 2]], left=1)
    image = Grouped((4, 6), (2, 3), (one, two))
    given = (torch.from_numpy(texts), SCALE)
    found = fitting(image, *given, best=7, background=0.95).numpy()
    fits = affinities(one, *given, 7).numpy()
    nameless = fits.max(axis=1) < min(0.95, fits.max())
    assert nameless.sum() == 3, "all but the group that fits best"
    every = np.column_stack([nameless, fits])
    np.testing.assert_allclose(found[:, 0, 0], every[0], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], every[1], atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 1], (every[3] + every[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 2], every[2], atol=1e-6)
    named = fitting(image, *given, best=7, background=0)[0]
    assert not named.any()


def test_the_best_name_takes_a_pixel_and_the_first_of_equal_ones():
    fits = torch.tensor([[[0.2, 0.5]], [[0.2, 0.1]], [[0.7, 0.5]]])
    owner, best = owners(fits, (1, 2))
    assert owner.tolist() == [[2, 0]]
    assert best.tolist() == [[pytest.approx(0.7), 0.5]]
    larger, _ = owners(fits, (2, 6))
    assert larger.tolist() == [[2, 2, 2, 2, 0, 0]] * 2
