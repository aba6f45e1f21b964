"""Which cells of a reference image stand for its object."""

import numpy as np
import pytest
import torch

from ipseg.errors import PromptError
from ipseg.methods.persam.reference import object_features


@pytest.fixture(scope="module")
def square(golden, segmenter):
    """An image of the network's own size: 16 x 16 cells of 16 x 16 pixels."""
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    return segmenter.encode([image])[0]


def cells(segmenter, embedding, mask, mask_value=128):
    """Flat indices of the cells whose features are taken."""
    features = segmenter.feature_map(embedding).flatten(1).T
    chosen = object_features(segmenter, embedding, mask, mask_value)
    return torch.cdist(chosen, features).argmin(dim=1).tolist()


def test_cells_of_the_golden_reference(golden, numbers, segmenter, embeddings):
    chosen = cells(segmenter, embeddings[golden.REFERENCE], golden.reference_mask())
    assert chosen == np.flatnonzero(np.unpackbits(numbers["cells"])).tolist()


@pytest.mark.parametrize(("mask_value", "columns"), [(128, [0]), (255, [0, 1])])
def test_the_value_of_the_mask_decides_about_cells_at_its_edge(
    segmenter, square, mask_value, columns
):
    mask = np.zeros((256, 256), bool)
    mask[:16, :24] = True  # of the second cell's two middle columns the first
    assert cells(segmenter, square, mask, mask_value) == columns


@pytest.mark.parametrize(
    ("rows", "columns", "chosen"),
    [
        (slice(34, 37), slice(50, 60), [35]),  # misses the middle of the cell
        (slice(64, 66), slice(14, 18), [64, 65]),  # two cells alike
    ],
)
def test_an_object_that_covers_no_cell_is_where_most_of_it_is(
    segmenter, square, rows, columns, chosen
):
    mask = np.zeros((256, 256), bool)
    mask[rows, columns] = True
    assert cells(segmenter, square, mask) == chosen


def test_a_small_object_is_never_sought_in_the_padding(segmenter, embeddings):
    embedding = embeddings["cup"]  # portrait: 136.5 of 256 columns
    mask = np.zeros(embedding.frame.image, bool)
    mask[299, 159] = True
    assert cells(segmenter, embedding, mask) == [15 * 16 + 8]


def test_an_empty_mask_is_an_error_of_the_prompt(segmenter, square):
    with pytest.raises(PromptError, match="empty"):
        object_features(segmenter, square, np.zeros((256, 256), bool), 128)
