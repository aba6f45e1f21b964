"""SINE's published numbers, where its released weights, the data and a GPU are at hand."""

import json
import os

import pytest
import torch

MODELS, DATA = os.environ.get("IPSEG_MODELS"), os.environ.get("IPSEG_DATASETS")


@pytest.mark.skipif(
    not (MODELS and DATA and torch.cuda.is_available()),
    reason="needs SINE's released weights (IPSEG_MODELS: a folder for models.root), LVIS-92i and "
    "COCO-20i (IPSEG_DATASETS: a data root), and a GPU",
)
@pytest.mark.parametrize(
    ("benchmark", "folds", "published", "within"),
    [("lvis-92i", ["--fold", "0"], 28.3, 0.7), ("coco-20i", [], 64.5, 0.5)],
)
def test_the_released_weights_reach_the_published_number(
    benchmark, folds, published, within, command, tmp_path
):
    words = ["evaluate", benchmark, "--data-root", DATA, "--out", tmp_path, "--profile", "sine"]
    assert command(*words, "--set", f"models.root={MODELS}", *folds) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["published_list"] is not False
    (variant,) = summary["variants"]
    assert 100 * variant["numbers"]["A"]["value"] == pytest.approx(published, abs=within)
