"""INSID3 and FoRIS beside a restatement in NumPy (`tests/golden/make_insid3.py`)."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ipseg.methods.foris.examples import Examples
from ipseg.methods.foris.scoring import beside_features, cell_scores, seed_prior
from ipseg.methods.insid3.candidates import candidates, votes
from ipseg.methods.insid3.clusters import clusters_of
from ipseg.methods.insid3.positions import debiased, position_basis
from ipseg.methods.insid3.reference import References
from ipseg.methods.insid3.scoring import Clusters, scored
from ipseg.methods.insid3.steps import Target, cells

FOLDER = Path(__file__).parents[3] / "golden"
sys.path.append(str(FOLDER))
from make_insid3 import ALIKE, CASES, COMPONENTS, THRESHOLD, scene  # noqa: E402


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "insid3.npz") as file:
        return dict(file)


def partition(labels):
    """Each cluster as its first cell."""
    first = {}
    return [first.setdefault(label, index) for index, label in enumerate(np.ravel(labels).tolist())]


def grids(case):
    given = scene(case)
    features = torch.stack([cells(torch.from_numpy(each)) for each in given["examples"]])
    masks = torch.from_numpy(given["masks"].reshape(len(features), -1))
    return given, features, masks, torch.from_numpy(given["target"])


@pytest.mark.parametrize("case", CASES)
def test_insid3(golden, case):
    given, features, masks, grid = grids(case)
    basis = position_basis(torch.from_numpy(given["black"]), COMPONENTS)
    projector = np.eye(len(basis)) - (basis @ basis.T).numpy()
    np.testing.assert_allclose(projector[::5, ::3], golden[f"{case}.projector"], atol=1e-5)
    target = Target(grid, basis, ALIKE)
    references = References(torch.stack([debiased(each, basis) for each in features]), masks)
    prototype = references.prototype()
    similarity = target.features @ prototype
    np.testing.assert_allclose(similarity, golden[f"{case}.similarity"], atol=1e-5)
    possible = candidates(target.features, similarity, references)
    assert np.array_equal(possible, golden[f"{case}.candidates"])
    labels = golden[f"{case}.labels"]
    assert partition(target.clusters.labels) == partition(labels)
    clusters = Clusters.of(target.raw, torch.from_numpy(labels.astype(np.int64)))
    directions = torch.nn.functional.normalize(clusters.means(target.features), dim=1)
    found = scored(clusters, possible, similarity, directions, prototype)
    np.testing.assert_allclose(found.score, golden[f"{case}.score"], atol=1e-5)
    mask = (found.score > THRESHOLD)[clusters.labels].numpy()
    assert np.array_equal(mask, golden[f"{case}.mask"])
    assert 0 < mask.sum() < len(mask)


@pytest.mark.parametrize("case", CASES)
def test_foris(golden, case):
    given, features, masks, grid = grids(case)
    basis = position_basis(torch.from_numpy(given["black"]), COMPONENTS)
    target = cells(grid)
    examples = Examples(References(features, masks), masks)
    out = examples.positions_mislead(target)
    assert out == golden[f"{case}.foris.out"]
    if out:
        target, examples = debiased(target, basis), examples.without_positions(basis)
    looks = examples.looks(ALIKE)
    gated = target * looks.gate.gate(target)
    count = votes(gated, examples.gated(looks.gate))
    share = count / len(masks)
    np.testing.assert_allclose(share, golden[f"{case}.foris.votes"], atol=1e-6)
    likeness = looks.object.likeness(target)
    beside = beside_features(torch.from_numpy(given["colours"]))
    possible = count >= (len(masks) + 1) // 2
    prior = seed_prior(gated, beside, likeness, possible, ALIKE)
    np.testing.assert_allclose(prior, golden[f"{case}.foris.prior"], atol=2e-5)
    background = target @ looks.object.background
    score = cell_scores(likeness, background, share, prior, clusters_of(target, ALIKE))
    np.testing.assert_allclose(score, golden[f"{case}.foris.score"], atol=2e-5)
