"""Every instance of a concept, from image to objects."""

from dataclasses import replace

import numpy as np
import pytest

import ipseg
from ipseg.columns import from_table, to_table
from ipseg.config import load_config
from ipseg.features.similarity import FINER
from ipseg.methods.ipseg.each import SegmentEach
from ipseg.methods.ipseg.steps import Match, Segment

QUICK = ("features.classical.long_side=120", "features.sift.weight=0", "matching.grid=40")
RED, BLUE = (200, 40, 40), (50, 90, 150)


def discs(*centres, radius=20, shape=(120, 180)):
    """An image of red discs on blue at (x, y), noisy; and the mask of each."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = [(x - cx) ** 2 + (y - cy) ** 2 < radius**2 for cx, cy in centres]
    image = np.where(np.any([*masks, np.zeros(shape, bool)], axis=0)[..., None], RED, BLUE)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), masks


def model(*more):
    image, (mask,) = discs((60, 40), shape=(80, 120))
    made = ipseg.load("classical", [*QUICK, *more])
    made.set_prompts({"disc": ipseg.Prompt(image, mask=mask)})
    return made


def matched(objects, masks):
    """For each mask the best IoU with an object."""
    return [
        max(((o.mask & mask).sum() / (o.mask | mask).sum() for o in objects), default=0.0)
        for mask in masks
    ]


@pytest.mark.parametrize(
    "centres",
    [
        [(90, 60)],
        [(40, 40), (130, 80)],
        [(30, 30), (90, 30), (150, 30), (30, 90), (90, 90), (150, 90)],
    ],
)
def test_each_disc_is_an_object(centres):
    image, masks = discs(*centres)
    objects = model().segment(image).objects
    assert len(objects) == len(masks)
    assert min(matched(objects, masks)) > 0.7
    assert [each.instance for each in objects] == list(range(len(masks)))
    scores = [each.score for each in objects]
    assert scores == sorted(scores, reverse=True)
    assert np.sum([each.mask for each in objects], axis=0).max() == 1
    for each in objects:
        x, y = each.points[each.points[:, 2] == 1, :2].astype(int).T
        assert each.mask[y, x].mean() > 0.5, "the points that found it are its own"


def test_one_object_is_found_as_with_mode_one():
    image, _ = discs((90, 60))
    (each,) = model().segment(image).objects
    (one,) = model("instances.mode=one").segment(image).objects
    assert each.segmentation == one.segmentation
    assert each.predicted_iou == one.predicted_iou
    assert np.array_equal(each.points, one.points)
    assert each.evidence["presence"] <= one.evidence["presence"], "of its own region"


def test_the_most_is_a_setting():
    image, _ = discs((30, 30), (90, 30), (150, 30), (30, 90))
    assert len(model("instances.max_instances=2").segment(image).objects) == 2
    assert len(model("instances.mode=one").segment(image).objects) == 1


def test_nothing_is_encoded_twice_however_many_there_are():
    image, masks = discs((30, 30), (90, 30), (150, 30))
    made = model()
    match, _, segment = made._steps[-3:]
    seen = []
    for part in (segment.segmenter, *match.extractors.values()):
        compute = part._encode if hasattr(part, "_encode") else part._cells

        def counted(*given, compute=compute):
            seen.append(compute)
            return compute(*given)

        setattr(part, "_encode" if hasattr(part, "_encode") else "_cells", counted)
    assert len(made.segment(image).objects) == len(masks)
    assert len(seen) == len(set(map(id, seen))) == 2


def test_a_weak_repeat_does_not_inherit_the_presence_of_the_first():
    image, (strong, weak) = discs((40, 40), (130, 80))
    pale = np.where(weak[..., None], (image * 0.5 + np.array((90, 60, 60)) * 0.5), image)
    objects = (
        model("instances.likeness=0", "instances.convincing=0")
        .segment(pale.astype(np.uint8))
        .objects
    )
    on = [each for each in objects if (each.mask & strong).any()]
    off = [each for each in objects if not (each.mask & strong).any()]
    assert off, "the pale one is among them"
    assert max(o.evidence["presence"] for o in off) < on[0].evidence["presence"]


def test_scores_are_made_again_from_what_is_stored():
    image, _ = discs((40, 40), (130, 80))
    made = model()
    method = replace(made.config.method, scoring=replace(made.config.method.scoring, presence=0.5))
    for each in made.segment(image).objects:
        again = method.scored_again(type(each).from_record(each.record()))
        wanted = each.predicted_iou * (0.5 + 0.5 * each.evidence["presence"])
        assert again.score == pytest.approx(wanted, abs=1e-6)
        assert again.instance == each.instance


def test_the_columns_between_the_stages_survive_the_way():
    placements = [np.zeros((0, 8, 12), np.float32), np.ones((2, 8, 12), np.float32)]
    local = np.random.default_rng(0).random((2, 2, 3), np.float32)
    names = ("local_presence", "placements")
    (row,) = from_table(to_table([{"local_presence": local, "placements": placements}], names))
    assert np.array_equal(row["local_presence"], local)
    assert [each.shape for each in row["placements"]] == [(0, 8, 12), (2, 8, 12)]
    assert np.array_equal(row["placements"][1], placements[1])


def test_where_evidence_lies_is_said_only_where_it_is_needed():
    bank = model().bank
    one, each = (
        load_config("classical", [f"instances.mode={mode}"]).method for mode in ("one", "each")
    )
    match, _, segment = one.image_steps(bank)
    assert isinstance(match, Match)
    assert isinstance(segment, Segment)
    assert match.provides == ("similarity", "presence")
    assert match.extractors["sift"].instances == 4, "as it always was"
    match, _, segment = each.image_steps(bank)
    assert isinstance(segment, SegmentEach)
    assert match.provides == ("similarity", "presence", "local_presence", "placements")
    assert match.extractors["sift"].instances == each.instances.max_instances


@pytest.mark.parametrize("segmenter", ["segment_anything", "hf_sam"])
def test_a_sam_decodes_each_place_on_one_embedding(segmenter, tiny_root):
    weights = {"segment_anything": "sam_vit_b_01ec64.pth", "hf_sam": "facebook/sam-vit-base"}
    settings = [
        *QUICK,
        *("saliency=null", "matching.saliency_weight=0", "refinement.prior=none"),
        *(f"segmenter.kind={segmenter}", f"segmenter.weights={weights[segmenter]}"),
        *("refinement.passes=3", f"models.root={tiny_root}", "models.device=cpu"),
        *("segmenter.map_weight=null", "instances.likeness=0", "instances.convincing=0"),
    ]
    made = model(*settings)
    segment = made._steps[-1]
    encoded, decoded = [], []
    network = segment.segmenter
    encode, many = network._encode, network.decode_many

    def counted(pixels):
        encoded.append(len(pixels))
        return encode(pixels)

    def counted_prompts(embedding, prompts, **more):
        decoded.append([len(each.labels) for each in prompts])
        return many(embedding, prompts, **more)

    network._encode, network.decode_many = counted, counted_prompts
    image, _ = discs((30, 30), (90, 30), (150, 30), (30, 90))
    objects = made.segment(image).objects
    assert sum(encoded) == 1
    assert len(decoded[0]) >= 3, "a prompt for each place, together"
    assert [each.instance for each in objects] == list(range(len(objects)))
    if objects:
        assert np.sum([each.mask for each in objects], axis=0).max() == 1


def test_extractors_without_local_evidence_have_it_from_their_map():
    from ipseg.features.similarity import Similarity

    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, :4] = 2.0
    found = Similarity(maps, np.array([0.6], np.float32)).local_presence()
    assert found[0, :4] == pytest.approx(0.6)
    assert found[0, 4:].max() < 0.6
    placements = (np.zeros((1, FINER * 8, FINER * 8), np.float32),)
    placed = Similarity(maps, np.array([0.6], np.float32), placements=placements)
    assert not placed.local_presence().any()
