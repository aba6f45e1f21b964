"""From tokens to the mask, against a restatement in NumPy that goes cell by cell."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.methods.gf_sam.gates import clusters, consistent, coverage, positive_gate, selected
from ipseg.methods.gf_sam.masks import gathered
from ipseg.methods.gf_sam.points import alignment, point_cells
from ipseg.methods.gf_sam.priors import described, directions, merged, priors

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(scope="module")
def golden():
    """The script that made the golden numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GOLDEN)
        return importlib.import_module("make_gf_sam")


@pytest.fixture(scope="module", params=["one", "shots", "lost", "astray", "broad"])
def case(request):
    return request.param


@pytest.fixture(scope="module")
def wanted(case):
    numbers = np.load(GOLDEN / "gf_sam.npz")
    return {name.removeprefix(f"{case}."): numbers[name] for name in numbers if case in name}


@pytest.fixture(scope="module")
def image(golden, case):
    return directions(torch.from_numpy(golden.inputs(case)[1]))


@pytest.fixture(scope="module")
def known(golden, case, image):
    examples, _, objects = golden.inputs(case)
    pairs = zip(examples, objects, strict=True)
    return priors(merged([described(torch.from_numpy(e), o) for e, o in pairs]), image)


@pytest.fixture(scope="module")
def cells(known, golden):
    return point_cells(alignment(known), golden.GRID)


@pytest.fixture(scope="module")
def masks(golden, case, cells):
    found = torch.from_numpy(golden.masks(case, cells.numpy()))
    parts = ((part, torch.zeros(len(part))) for part in found.split(4))
    return gathered(parts, golden.SIDE, golden.GRID)


def test_likeness_to_the_object_and_to_what_is_around_it(known, wanted):
    found = torch.stack([known.positive_max, known.positive_mean, known.negative_mean])
    np.testing.assert_allclose(found, wanted["priors"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(alignment(known), wanted["aligned"], rtol=0, atol=2e-5)


def test_the_points(cells, wanted):
    np.testing.assert_array_equal(cells, wanted["cells"])


def test_clusters_of_points_that_masks_connect(masks, cells, golden, wanted):
    labels = clusters(coverage(masks, cells, golden.GRID))
    same = labels[:, None] == labels
    np.testing.assert_array_equal(same, wanted["labels"][:, None] == wanted["labels"])


def test_both_gates_and_the_mask(masks, cells, known, image, golden, wanted):
    labels = wanted["labels"]
    gated = positive_gate(masks, labels, known)
    np.testing.assert_array_equal(gated.accepted, wanted["accepted"])
    np.testing.assert_allclose(gated.otherwise, wanted["otherwise"], rtol=0, atol=1e-3)
    own = consistent(masks, labels, cells, image)
    np.testing.assert_array_equal(own, wanted["own"])
    mask = masks.union(selected(gated.accepted, own, gated.otherwise))
    np.testing.assert_array_equal(np.packbits(mask), wanted["mask"])


def test_no_likeness_gives_no_point():
    assert point_cells(torch.zeros(9), 3).shape == (0, 2)
    assert point_cells(torch.tensor([0, 0, 0, 0.1]), 2).tolist() == [[1, 1]]


def test_points_are_few_however_much_is_alike():
    assert len(point_cells(torch.ones(400), 20)) == 128


def test_a_point_that_passed_no_gate_is_taken_where_no_score_is_positive():
    flags = np.array([False, True, True]), np.array([False, False, False])
    assert selected(*flags, np.array([5, -1, -2], np.float32)).tolist() == [0]
    assert selected(*flags, np.array([5, -1, 2], np.float32)).tolist() == [2]
