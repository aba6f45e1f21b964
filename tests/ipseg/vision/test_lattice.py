import numpy as np
import pytest

from ipseg.vision.lattice import GaussianLattice


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_means_are_those_of_a_gaussian(dimensions):
    rng = np.random.default_rng(dimensions)
    points = rng.uniform(0, 4, (600, dimensions))
    values = np.sin(points[:, 0]) + (points[:, -1] > 2)
    gaps = np.square(points[:, None] - points[None]).sum(axis=2)
    weights = np.exp(-gaps / 2)
    exact = weights @ values / weights.sum(axis=1)
    found = GaussianLattice(points).means(values)
    assert np.corrcoef(found, exact)[0, 1] > 0.99
    assert np.abs(found - exact).mean() < 0.1 * exact.std()


def test_points_far_apart_do_not_mix():
    points = np.repeat([[0.0, 0], [30, -30]], 5, axis=0)
    values = np.repeat([1.0, -2], 5)
    np.testing.assert_allclose(GaussianLattice(points).means(values), values)


def test_a_constant_stays_one():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 5
    np.testing.assert_allclose(GaussianLattice(points).means(np.full(50, 0.3)), 0.3)
