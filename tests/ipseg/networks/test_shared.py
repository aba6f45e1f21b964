"""One network for equal settings, and one computation for equal batches."""

import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.features.classical import ClassicalDescriptors
from ipseg.networks.models import Models
from ipseg.networks.shared import LastBatch, Part, PerImage, network_key, shared
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.segmenters.classical import ClassicalSegmenter


@dataclass
class Loaded:
    """A part with something that only `setup` makes."""

    weights: str = "a"
    weight: float = 1.0
    gpu_memory_gb: float = 0.0
    network: list[str] = field(init=False, default_factory=list)

    def setup(self, models):
        self.network.append(models.device)


@dataclass
class Other(Loaded):
    """The same settings of another class."""


HERE = Models(root="here")


def test_equal_settings_are_one_network_and_the_given_part_is_left_as_it_was():
    part = Loaded()
    one, other = shared(part, HERE), shared(Loaded(weight=0.1), HERE)
    assert one is other
    assert one.network == ["auto"], "loaded once"
    assert part.network == []
    assert isinstance(part, Part)


@pytest.mark.parametrize(
    ("part", "models"),
    [
        (Loaded("b"), HERE),
        (Other(), HERE),
        (Loaded(), Models(root="there")),
        (Loaded(), Models(root="here", precision="float16")),
    ],
)
def test_any_other_setting_is_another_network(part, models):
    one = shared(Loaded(), HERE)
    assert shared(part, models) is not one
    assert shared(Loaded(), HERE) is one


def test_a_network_that_nobody_holds_is_let_go():
    gone = weakref.ref(shared(Loaded("for a moment"), HERE))
    gc.collect()
    assert gone() is None


@given(st.text(max_size=3), st.text(max_size=3), st.floats(0, 1), st.floats(0, 1))
def test_a_key_is_made_of_all_settings_but_the_weight(one, other, first, second):
    keys = network_key(Loaded(one, first)), network_key(Loaded(other, second))
    assert (keys[0] == keys[1]) == (one == other)
    assert hash(keys[0]) == hash(network_key(Loaded(one)))


def test_what_a_part_has_seen_is_no_setting():
    used, fresh = ClassicalDescriptors(), ClassicalDescriptors()
    used.compare([np.zeros((20, 30, 3), np.uint8)], [], [(2, 3)])
    assert network_key(used) == network_key(fresh)


images = [np.full((2, 2), number) for number in range(4)]


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 3), max_size=3), st.sampled_from([None, "grid"])),
        max_size=12,
    )
)
def test_the_last_batch_is_computed_once_and_every_answer_is_right(batches):
    last, computed = LastBatch(), []
    before = None
    for numbers, key in batches:
        batch = [images[number] for number in numbers]

        def compute(batch=batch, key=key):
            computed.append(key)
            return key, [int(image[0, 0]) for image in batch]

        count = len(computed)
        assert last.get(batch, compute, key) == (key, numbers)
        assert len(computed) - count == ((numbers, key) != before)
        before = numbers, key


def test_equal_pixels_in_other_arrays_are_another_batch():
    """Identity is what is compared: no time is spent on looking at pixels."""
    last = LastBatch()
    first = last.get([images[0]], object)
    assert last.get([images[0]], object) is first
    assert last.get([images[0].copy()], object) is not first


def test_an_array_cannot_take_the_place_of_one_that_was_remembered():
    """What is remembered is held, so that no new array gets its address."""
    last = LastBatch()
    results = []
    for number in range(50):
        image = np.full((2, 2), number)
        results.append(last.get([image], lambda image=image: int(image[0, 0])))
        del image
    assert results == list(range(50))


def test_each_thread_remembers_its_own_batch_and_a_pickled_one_nothing():
    last = LastBatch()
    first = last.get([images[0]], object)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(last.get, [images[0]], object).result()
        again = pool.submit(last.get, [images[0]], object).result()
    assert other is again
    assert other is not first
    assert last.get([images[0]], object) is first
    assert pickle.loads(pickle.dumps(last)).get([images[0]], object) is not first  # noqa: S301


def test_a_computation_that_failed_is_done_again():
    last = LastBatch()
    with pytest.raises(ZeroDivisionError):
        last.get([images[0]], lambda: 1 // 0)
    assert last.get([images[0]], lambda: 5) == 5


def test_a_new_image_in_the_place_of_an_old_one_has_its_own_result():
    """Threads come and go with images, of which the memory is used again at once."""
    remembered = PerImage()

    def first_pixels(number):
        every = (np.full((2, 2), number) for _ in range(200))
        return {remembered.get(image, lambda image: int(image[0, 0])) for image in every}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first_pixels, range(8))) == [{number} for number in range(8)]


def test_a_result_is_kept_for_each_image_as_long_as_the_image():
    remembered, computed = PerImage(), []

    def compute(image):
        computed.append(int(image[0, 0]))
        return Loaded()

    one, other = images[0].copy(), images[1].copy()
    first, second = remembered.get(one, compute), remembered.get(other, compute)
    assert remembered.get(one, compute) is first
    assert remembered.get(other, compute) is second
    assert computed == [0, 1]
    gone = weakref.ref(first)
    del one, first
    assert gone() is None


def test_a_copy_of_a_part_remembers_nothing():
    remembered, image = PerImage(), images[0].copy()
    remembered.get(image, lambda _: "old")
    assert pickle.loads(pickle.dumps(remembered)).get(image, lambda _: "new") == "new"  # noqa: S301


def test_classical_parts_with_equal_regions_find_them_once():
    saliency, segmenter = shared(ClassicalSaliency(), HERE), shared(ClassicalSegmenter(), HERE)
    assert saliency.inner[0] is segmenter.inner[0]
    assert shared(ClassicalSegmenter(regions=9), HERE).inner[0] is not saliency.inner[0]
