import torch
from torch.nn import functional

from ipseg.methods.insid3.clusters import clusters_of


def test_equal_cells_are_one_cluster_whatever_rounding_makes_of_their_distances():
    cells = functional.normalize(torch.full((9, 37), 0.1), dim=1)
    assert (1 - cells @ cells.T).min() < 0, "this length rounds so"
    assert clusters_of(cells, 0.6).tolist() == [0] * 9


def test_unlike_cells_are_other_clusters():
    cells = torch.eye(3)[[0, 1, 0, 2, 1]]
    labels = clusters_of(cells, 0.6).tolist()
    assert labels[0] == labels[2]
    assert labels[1] == labels[4]
    assert len(set(labels)) == 3
