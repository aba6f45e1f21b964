"""Matching, scores and merging, against a restatement in NumPy of all of them."""

import numpy as np
import pytest

from ipseg.methods.matcher.scoring import chosen, scored, solve_best
from ipseg.methods.matcher.settings import Merging, Scoring
from ipseg.methods.matcher.transport import Transports, likenesses

SETTINGS = {
    "fss": (Scoring(alpha=0.8, beta=0.2, exponent=1), Merging("ratio", most=10)),
    "coco": (Scoring(purity=0.02), Merging("distance", most=9)),
    "part": (Scoring(alpha=0.5, beta=0.5, coverage=0.3), Merging("ratio", most=5)),
}


def test_the_cells_that_match(case, matches, numbers):
    np.testing.assert_array_equal(matches.cells, numbers[f"{case}.points"])


def test_what_each_mask_is_worth(case, matches, golden, numbers, pool_of):
    proposed = golden.inputs(case)[-1]
    found = scored(pool_of(proposed), matches, Scoring())
    assert list(found.number) == list(range(len(proposed)))
    values = np.stack([found.purity, found.coverage, found.likeness], axis=1)
    np.testing.assert_allclose(values, numbers[f"{case}.scores"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("config", SETTINGS)
def test_the_masks_that_are_the_answer(case, config, matches, golden, numbers, pool_of):
    proposed = golden.inputs(case)[-1]
    scoring, merging = SETTINGS[config]
    pool = pool_of(proposed)
    for known in (None, merging):  # all transports, and those that the answer depends on
        found = scored(pool, matches, scoring, known)
        mask = pool.union(found.number[chosen(found.total, merging)])
        np.testing.assert_array_equal(np.packbits(mask), numbers[f"{case}.{config}"])


def test_transports_that_change_nothing_are_not_solved(golden):
    rows, columns, count = 20, 64, 60
    drawn = np.random.default_rng(0)
    object_cells, image = (drawn.normal(size=(n, 8)) for n in (rows, columns))
    image[:rows] = object_cells + 0.3 * drawn.normal(size=(rows, 8))
    object_cells, image = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in (object_cells, image)
    )
    costs = ((1 - object_cells @ image.T) / 2).astype(np.float32)
    # From masks of the object to masks of anything else.
    likely = np.linspace(0.9, 0.05, count)[:, None] * (np.arange(columns) < rows) + 0.05
    cells = drawn.random((count, columns)) < likely
    inside = drawn.random(count) * 0.2
    exact = likenesses(cells, costs)
    np.testing.assert_allclose(exact[0], 1 - golden.transport(costs[:, cells[0]]), atol=1e-9)
    far = Merging("distance", most=9, distance=0.15)
    for merging in (Merging("ratio", most=5), far, Merging("ratio", ratio=0.95)):
        some = Transports(cells, costs)
        solve_best(some, 0.8, inside, merging)
        assert 0 < some.solved.sum() < count / 2
        assert (some.likeness >= exact - 1e-9).all()
        found, known = (chosen(0.8 * each + inside, merging) for each in (some.likeness, exact))
        np.testing.assert_array_equal(found, known)
        np.testing.assert_array_equal(some.likeness[found], exact[found])


def test_filters_leave_what_is_best_where_nothing_passes(case, matches, golden, pool_of):
    proposed = golden.inputs(case)[-1]
    for name in ("coverage", "likeness", "purity"):
        found = scored(pool_of(proposed), matches, Scoring(**{name: 1.0}))
        plain = scored(pool_of(proposed), matches, Scoring())
        best = getattr(plain, name)
        np.testing.assert_array_equal(found.number, np.flatnonzero(best == best.max()))
