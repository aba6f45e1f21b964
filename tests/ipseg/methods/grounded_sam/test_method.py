"""Grounded-SAM, with tiny weights of the real classes: boxes are anywhere, but are boxes."""

import numpy as np
import pytest

import ipseg
from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png

NAMES = ("cat", "tea_cup")


@pytest.fixture(scope="module")
def found(tiny_root, photos):
    """Settings -> the finished row of one image."""

    def found(*overrides):
        quick = ["models.device=cpu", "detector.short_side=96"]
        config = load_config("grounded-sam", [f"models.root={tiny_root}", *quick, *overrides])
        chains = prompt_chains({"": config})
        prepare(chains.steps)
        prompts = [{"key": name, "concept": name, "uri": "nowhere.png"} for name in NAMES]
        bank = PromptsInMemory(list(run_local(chains.steps, prompts)), config.method.merge)
        steps = image_chain({"": config}, {"": bank})
        prepare(steps)
        image = {"key": "cup", "uri": "cup", "image_bytes": encode_png(photos["cup"])}
        (row,) = run_local(steps, [image])
        assert row.get("error_message") is None
        return row

    return found


def test_one_mask_is_all_instances_together(found):
    loose = ("detector.threshold=0.05", "grounding.nms=1")
    single = found(*loose)["objects"]
    each = found(*loose, "grounding.task=instance")["objects"]
    assert [o.concept for o in single] == [*NAMES], "one for each concept"
    for one in single:
        mine = [o for o in each if o.concept == one.concept]
        assert len(mine) > 1
        assert [o.instance for o in mine] == [*range(len(mine))]
        assert (np.logical_or.reduce([o.mask for o in mine]) == one.mask).all()
        assert one.score == max(o.score for o in mine) == mine[0].score


def test_boxes_that_overlap_a_better_one_are_left_out(found):
    more, fewer = (
        found("detector.threshold=0.05", f"grounding.nms={nms}")["crowds"] for nms in (1, 0.1)
    )
    for all_boxes, kept in zip(more, fewer, strict=True):
        assert 0 < len(kept.named) < len(all_boxes.named)
        assert {*map(tuple, kept.named)} < {*map(tuple, all_boxes.named)}


def test_a_name_without_a_box_says_so(found):
    row = found("detector.threshold=1")
    assert row["objects"] == []
    assert [crowd.notes for crowd in row["crowds"]] == [("no grounding box",)] * 2


def test_other_words_are_asked_for(found):
    usual, same, other = (
        found("detector.threshold=0.05", *more)["crowds"]
        for more in ((), ("names.tea_cup=tea cup",), ("names.tea_cup=zebra",))
    )
    assert (usual[1].named == same[1].named).all()
    assert not np.array_equal(usual[1].named, other[1].named)
    assert (usual[0].named == other[0].named).all()


def test_a_segmenter_without_boxes_is_refused():
    with pytest.raises(ConfigError, match="which ClassicalSegmenter does not take"):
        load_config("grounded-sam", ["segmenter=null", "segmenter.kind=classical"])


def test_in_python_it_takes_what_others_take(tiny_root, photos):
    settings = [f"models.root={tiny_root}", "models.device=cpu", "detector.short_side=96"]
    model = ipseg.load("grounded-sam", [*settings, "detector.threshold=0.05"])
    model.set_prompts({"cup": photos["cup"]})
    assert model.segment(photos["cup"]).objects
