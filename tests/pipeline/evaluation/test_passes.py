"""Settings share a pass as long as nothing would be computed twice or differently."""

from ipseg.config import load_config
from pipeline.evaluation.passes import Variant, passes


def variant(*settings, given_mask=False):
    config = load_config("classical", settings)
    return Variant(", ".join(settings), config, given_mask, settings)


def grouped(*variants):
    return [[v.label for v in each.variants] for each in passes(variants)]


def test_points_scores_weights_and_masks_that_are_given_share_a_pass():
    settings = [
        *("points.k=8", "scoring.min_score=0.3", "features.sift=null"),
        "features.classical.weight=0.5",
    ]
    variants = [variant(), *map(variant, settings), variant(given_mask=True)]
    assert grouped(*variants) == [["", *settings, ""]]


def test_another_grid_size_or_extractor_setting_takes_another_pass():
    others = ["matching.grid=40", "images.max_pixels=1000000", "features.classical.long_side=100"]
    found = grouped(variant(), *map(variant, others), variant())
    assert found == [["", ""], *([label] for label in others)], "the last joins the first"


def test_saliency_matters_only_to_those_who_look_at_it():
    sighted, blind = "matching.saliency_weight=0.5", "matching.saliency_weight=0"
    other = "saliency.kind=none"
    assert len(passes([variant(blind), variant(blind, other)])) == 1
    assert len(passes([variant(sighted), variant(sighted, other)])) == 2


def test_a_pass_has_every_extractor_that_a_variant_gives_a_weight():
    (both,) = passes([variant("features.sift=null"), variant()])
    assert set(both.extractors) == {"classical", "sift"}
    (one,) = passes([variant("features.sift.weight=0")])
    assert set(one.extractors) == {"classical"}
