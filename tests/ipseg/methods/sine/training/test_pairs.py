"""Pairs: what is random about them, and what never changes."""

import numpy as np
import pytest
import torch

from ipseg.errors import SourceError
from ipseg.methods.sine.canvas import Canvas
from ipseg.methods.sine.training.annotated import Annotated
from ipseg.methods.sine.training.layouts import prepared
from ipseg.methods.sine.training.pairs import PairSource
from ipseg.methods.sine.training.scenes import Scene, augmented
from ipseg.methods.sine.training.settings import Pairs

SETTINGS = Pairs(side=112, smallest=0.5, largest=1.5)


@pytest.fixture(scope="module")
def mine(collections, tmp_path_factory):
    cache = tmp_path_factory.mktemp("tables")
    places = prepared(str(collections["mine"]), cache, 3.0, lambda line: None)
    return [Annotated(place) for place in places]


def test_a_pair_depends_on_its_number_and_the_seed_alone(mine):
    one, other = PairSource(mine, SETTINGS, 0), PairSource(mine, SETTINGS, 0)
    other[3]
    torch.testing.assert_close(one[17].target.pixels, other[17].target.pixels, atol=0, rtol=0)
    assert not torch.equal(
        one[17].reference.pixels, PairSource(mine, SETTINGS, 1)[17].reference.pixels
    )


def test_both_have_objects_and_the_target_none_of_other_classes(mine):
    pairs = [PairSource(mine, SETTINGS, 0)[number] for number in range(60)]
    for pair in pairs:
        assert pair.reference.masks.any(dim=0).any()
        assert pair.target.masks.flatten(1).any(dim=1).all()
        assert set(pair.target.classes.tolist()) <= set(pair.reference.classes.tolist())
        assert pair.reference.classes.tolist() == sorted(pair.reference.classes.tolist())
    assert 15 < sum(pair.same_image for pair in pairs) < 45


def test_masks_go_with_their_pixels(mine):
    scene = mine[0].read(0)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = set()
    for seed in range(12):
        view = augmented(scene, SETTINGS, np.random.default_rng(seed))
        colours = view.pixels.permute(1, 2, 0) * deviation + mean
        for mask, number in zip(view.masks, view.classes.tolist(), strict=True):
            red, blue = colours[..., 0] > 0.7, colours[..., 2] > 0.7
            painted = red if number == 3 else blue
            union = (mask | painted).sum()
            assert (mask & painted).sum() / union > 0.85, "all but a soft border"
            seen.add(number)
    assert seen == {3, 7}


def test_without_augmentation_an_image_lies_as_in_segment(mine):
    plain = Pairs(side=112, flip=0, smallest=1, largest=1)
    scene = mine[0].read(1)
    view = augmented(scene, plain, np.random.default_rng(0))
    canvas = Canvas(112, "long_side")
    placed = canvas.place(scene.image, 14)
    torch.testing.assert_close(view.pixels, placed.pixels, atol=0, rtol=0)
    for mask, own in zip(scene.masks, view.masks, strict=True):
        expected = canvas.place_mask(mask, placed.view)
        assert (expected != own).sum() <= 0.02 * expected.numel()


def test_what_is_larger_than_the_canvas_is_cut_at_one_random_place_for_both_axes():
    y, x = np.mgrid[:200, :200]
    image = np.stack([y, x, np.zeros_like(x)], axis=-1).astype(np.uint8)
    whole = Scene(image, np.ones((1, 200, 200), bool), np.array([1]), np.array([1]))
    twice = Pairs(side=100, flip=0, smallest=2, largest=2)
    starts = set()
    for seed in range(5):
        pixels = augmented(whole, twice, np.random.default_rng(seed)).pixels
        corner = pixels[:2, 0, 0] * torch.tensor([0.229, 0.224]) + torch.tensor([0.485, 0.456])
        assert float(corner[0]) == pytest.approx(float(corner[1]), abs=1e-4)
        starts.add(round(float(corner[0] * 255)))
    assert len(starts) > 3


class Empty:
    """A collection whose masks are empty."""

    kind, weight, classes = "instance", 1.0, np.array([1])

    def images_of(self, class_number):
        return np.array([0])

    def read(self, image):
        nothing = np.zeros((1, 9, 9), bool)
        return Scene(np.zeros((9, 9, 3), np.uint8), nothing, np.array([1]), np.array([1]))


def test_objects_that_are_never_left_end_the_search():
    with pytest.raises(SourceError, match=r"after 20 draws; raise pairs.smallest"):
        PairSource([Empty()], Pairs(side=112, tries=20), 0)[0]
