import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipseg.config import load_config
from ipseg.networks.batching import at_once, in_micro_batches, most_at_once


class SmallCard:
    """Doubles numbers, at most `capacity` at once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.asked: list[int] = []

    def __call__(self, items):
        self.asked.append(len(items))
        if len(items) > self.capacity:
            raise torch.OutOfMemoryError(f"{len(items)} items do not fit")
        return [2 * item for item in items]


@given(
    count=st.integers(0, 40),
    size=st.none() | st.integers(1, 50),
    capacity=st.integers(1, 20),
)
def test_every_item_gets_its_result_in_order_for_any_capacity(count, size, capacity):
    card = SmallCard(capacity)
    assert in_micro_batches(card, range(count), size) == [2 * item for item in range(count)]
    assert all(asked >= 1 for asked in card.asked)


def test_a_size_that_does_not_fit_is_halved_and_the_smaller_one_kept():
    card = SmallCard(3)
    in_micro_batches(card, range(20), 16)
    assert card.asked == [16, 8, 4, *[2] * 10]


def test_a_size_that_fits_is_kept():
    card = SmallCard(8)
    in_micro_batches(card, range(20), 8)
    assert card.asked == [8, 8, 4]


def test_one_item_that_does_not_fit_is_an_error():
    card = SmallCard(0)
    with pytest.raises(torch.OutOfMemoryError, match="1 items do not fit"):
        in_micro_batches(card, range(5))
    assert card.asked == [5, 3, 2, 1]


def test_other_errors_are_raised():
    calls = []

    def broken(items):
        calls.append(len(items))
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        in_micro_batches(broken, range(4))
    assert calls == [4]


def test_the_tensors_of_a_failed_attempt_are_freed_before_the_next():
    alive = []

    class Activation:
        def __init__(self) -> None:
            alive.append(self)

        def __del__(self) -> None:
            freed.append(1)

    freed: list[int] = []

    def run(items):
        if len(items) > 1:
            activation = Activation()
            alive.clear()
            raise torch.OutOfMemoryError(f"no room beside {activation}")
        assert freed == [1]
        return list(items)

    assert in_micro_batches(run, [1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("capacity", "most", "found"), [(0, 16, 1), (1, 16, 1), (5, 16, 4), (99, 16, 16)]
)
def test_as_many_are_taken_at_once_as_fit(capacity, most, found):
    card = SmallCard(capacity)
    assert most_at_once(lambda number: card([0] * number), most) == found
    assert max(card.asked) <= most


def test_other_errors_end_the_search():
    def broken(number):
        raise RuntimeError("CUDA error")

    with pytest.raises(RuntimeError, match="CUDA error"):
        most_at_once(broken)


def test_a_network_of_profile_ipseg_light_is_tried_with_its_own_canvases(tiny_root):
    settings = [f"models.root={tiny_root}", "features.dinov2.size=56"]
    extractor = load_config("ipseg-light", settings).method.features["dinov2"]
    extractor.setup(load_config("ipseg-light", settings).models)
    seen = []

    def small_card(_module, given):
        seen.append(len(given[0]))
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    extractor._network.register_forward_pre_hook(small_card)
    blank = np.zeros((56, 56, 3), np.uint8)
    assert most_at_once(lambda number: extractor._grids([blank] * number)) == 2
    assert seen == [2, 4]
    extractor.tune()
    assert seen == [2, 4], "on a CPU nothing is tried"
    assert at_once(lambda _: None, extractor._network, 1.0) is None
    extractor.features([blank] * 3)
    assert seen[2:] == [1, 1, 1]
