"""Matcher with tiny weights of the real classes."""

import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.features.patch_tokens import PatchTokens, Square
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.methods.matcher.matching import merged
from ipseg.networks.models import Models
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png


@pytest.fixture
def find(tiny_root, photos, prompt_folder):
    """What is found in one photo, with settings beside those that make it quick."""
    quick = [f"models.root={tiny_root}", "models.device=cpu", "support=none"]
    quick += ["square.side=112", "square.frame=112"]

    def find(*settings, profile="matcher-fss", concepts=("cup",)):
        config = load_config(profile, [*quick, *settings])
        uri = f"{prompt_folder}/cup.jpg"
        prompts = [{"key": name, "concept": name, "uri": uri} for name in concepts]
        chain = prompt_chains({"": config}).steps
        prepare(chain)
        bank = PromptsInMemory(list(run_local(chain, prompts)), config.method.merge)
        steps = image_chain({"": config}, {"": bank})
        prepare(steps)
        row = {"key": "a", "uri": "a", "image_bytes": encode_png(photos["cup"][:112, :112])}
        (done,) = run_local(steps, [row])
        assert done.get("error_message") is None
        return done["objects"]

    return find


def test_a_run_without_a_mask_left_finds_nothing(find):
    assert find("sampling.centres=3", "proposals.least_stability=1") == []


def test_each_mask_can_be_an_object_and_the_union_has_them_all(find):
    settings = ("sampling.centres=5", "merging.most=3", "merging.ratio=0")
    (together,) = find(*settings)
    each = find(*settings, "merging.objects=each")
    assert [one.instance for one in each] == list(range(len(each)))
    assert len(each) > 1
    scores = [one.score for one in each]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_array_equal(np.any([one.mask for one in each], axis=0), together.mask)


@pytest.mark.parametrize("profile", ["matcher-fss", "gf-sam"])
def test_an_example_needs_no_mask(find, profile):
    quick = ("support.saliency.long_side=96", "support.saliency.regions=80")
    few = ("sampling.centres=3",) if profile == "matcher-fss" else ()
    settings = ("support=saliency", "support.saliency.kind=classical", *quick, *few)
    (found,) = find(*settings, profile=profile)
    assert 0 < found.score <= 1


def test_eighty_concepts_look_at_one_grid_of_masks(find, monkeypatch):
    from ipseg.methods.matcher import method

    grids = []
    real = method.from_grid
    monkeypatch.setattr(method, "from_grid", lambda *a: grids.append(1) or real(*a))
    names = [f"concept {number}" for number in range(80)]
    few = ("sampling.subsets=1", "sampling.most=1", "proposals.grid.side=2")
    every = ("proposals.grid.least_iou=0", "proposals.grid.least_stability=0")
    found = find(*few, *every, profile="matcher", concepts=names)
    assert [each.concept for each in found] == sorted(names)
    assert len(grids) == 1


def test_a_segmenter_without_a_network_is_refused():
    with pytest.raises(ConfigError, match=r"segmenter\.kind=segment_anything"):
        load_config("matcher", ["segmenter.kind=classical"])


def test_the_side_is_of_whole_patches(tiny_root, photos):
    tokens = PatchTokens()
    tokens.setup(Models(root=str(tiny_root), device="cpu"))
    with pytest.raises(ConfigError, match=r"multiples, such as 112 \(square\.side"):
        tokens.encode([photos["cup"]], Square(side=110))


def test_a_speck_that_no_pixel_of_the_square_sees_is_kept_unless_as_released():
    mask = np.zeros((400, 600), bool)
    mask[211, 307] = True
    kept, lost = (Square(112, 112, keep_small=keep).place_mask(mask) for keep in (True, False))
    assert not lost.any()
    y, x = np.argwhere(kept).mean(axis=0)
    assert (y, x) == pytest.approx((211 * 112 / 400, 307 * 112 / 600), abs=1)


def test_the_middle_stands_in_for_objects_that_are_all_lost():
    blank = {"tokens": np.zeros((9, 2), np.float32), "inside": np.zeros(9, bool)}
    corner = {**blank, "inside": np.arange(9) == 0}
    assert np.flatnonzero(merged([blank, blank])["inside"]).tolist() == [4, 13]
    assert np.flatnonzero(merged([blank, corner])["inside"]).tolist() == [9]
