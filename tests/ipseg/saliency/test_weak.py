import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ipseg.saliency.weak import is_weak, never_empty
from ipseg.vision.images import encode_png
from ipseg.vision.masks import read_soft_mask

MAPS = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))).map(
    lambda levels: levels.astype(np.float32) / np.float32(255)
)


def stored(mask):
    """As stored by the prompt step: an 8-bit PNG."""
    return read_soft_mask(encode_png(np.round(mask * 255).astype(np.uint8)))


@settings(deadline=None)
@given(MAPS)
def test_the_object_is_never_empty_and_a_guess_is_recognised_after_8_bits(saliency):
    isolated = never_empty(saliency)
    assert isolated.dtype == np.float32
    assert ((isolated >= 0) & (isolated <= 1)).all()
    assert (isolated > 0.5).any()
    assert is_weak(stored(isolated)) == is_weak(isolated) == (saliency.max() < 0.503)
    assert ((stored(isolated) > 0.5) == (isolated > 0.5)).all()


@settings(deadline=None, max_examples=30)
@given(MAPS.filter(lambda m: m.max() > 0.5))
def test_a_normal_map_is_not_changed(saliency):
    assert never_empty(saliency) is saliency


def test_a_weak_map_keeps_its_highest_values():
    faint = np.array([[0.0, 0.05, 0.15, 0.2]], np.float32)
    assert (never_empty(faint) > 0.5).tolist() == [[False, False, True, True]]


def test_an_empty_map_gives_the_whole_image():
    assert (never_empty(np.zeros((3, 4), np.float32)) > 0.5).all()
