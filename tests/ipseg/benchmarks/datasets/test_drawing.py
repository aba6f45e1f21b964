import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.drawing import (
    UNIQUE_SUPPORTS,
    draw_by_class,
    draw_prompts,
    draw_supports,
)
from ipseg.errors import SourceError

LISTS = st.dictionaries(
    st.integers(0, 79),
    st.integers(2, 40).map(lambda n: [f"image {i}" for i in range(n)]),
    min_size=1,
    max_size=20,
)


def reference(images, shot, seed, count):
    """The rule restated with NumPy's global generator, seeded once, and lists of names."""
    state = np.random.get_state()
    np.random.seed(seed)
    drawn = []
    for _ in range(count):
        c = np.random.choice(list(images), 1, replace=False)[0]
        q = np.random.choice(images[c], 1, replace=False)[0]
        supports = []
        while len(supports) != shot:
            x = np.random.choice(images[c], 1, replace=False)[0]
            if x != q:
                supports.append(x)
        drawn.append((c, q, tuple(supports)))
    np.random.set_state(state)
    return drawn


@given(LISTS, st.sampled_from([1, 5]), st.integers(0, 2**32 - 1))
def test_episodes_are_those_of_the_reference(images, shot, seed):
    drawn = draw_by_class(images, Sampling(shot=shot, seed=seed), "list", count=30)
    assert drawn == reference(images, shot, seed, 30)


def test_a_list_as_long_as_that_of_persons_gives_the_same_draws():
    images = {0: [f"{i:012d}" for i in range(19217)], 4: ["a", "b", "c"]}
    assert draw_by_class(images, Sampling(), "list", count=50) == reference(images, 1, 0, 50)


def test_the_global_generator_is_not_used():
    before = np.random.get_state()[1].tolist()
    draw_by_class({0: ["a", "b"]}, Sampling(), "list", count=5)
    assert np.random.get_state()[1].tolist() == before


@given(LISTS, st.integers(0, 1000))
def test_for_one_shot_unique_supports_is_the_reference(images, seed):
    plain, unique = Sampling(seed=seed), Sampling(seed=seed, rule=UNIQUE_SUPPORTS)
    assert draw_by_class(images, plain, "", 20) == draw_by_class(images, unique, "", 20)


@given(st.integers(6, 12), st.integers(0, 1000))
def test_unique_supports_repeat_nothing(count, seed):
    sampling = Sampling(shot=5, seed=seed, rule=UNIQUE_SUPPORTS)
    for _, query, supports in draw_by_class({3: [str(i) for i in range(count)]}, sampling, "", 20):
        assert len({query, *supports}) == 6


def test_the_reference_repeats_supports():
    stream = np.random.RandomState(0)
    assert draw_supports(stream, ["a", "b"], "a", Sampling(shot=3)) == ("b", "b", "b")


@pytest.mark.parametrize(
    ("names", "sampling"),
    [
        ([], Sampling()),
        (["a"], Sampling()),
        (["a", "a"], Sampling()),
        (["a", "b", "b"], Sampling(shot=2, rule=UNIQUE_SUPPORTS)),
    ],
)
def test_a_class_with_too_few_images_is_refused(names, sampling):
    with pytest.raises(SourceError, match=r"fold0.pkl: class 8 has \d image\(s\), too few"):
        draw_by_class({8: names}, sampling, "fold0.pkl", count=3)


def test_prompts_are_drawn_once_for_each_class():
    images = {1: ["a", "b", "c"], 2: ["d", "e", "f", "g"]}
    drawn = draw_prompts(images, Sampling(shot=2), "")
    assert [d.class_id for d in drawn] == [1, 2, 2]
    for class_id, names in images.items():
        supports = {d.supports for d in drawn if d.class_id == class_id}
        assert len(supports) == 1
        (prompts,) = supports
        queries = [d.query for d in drawn if d.class_id == class_id]
        assert queries == [name for name in names if name not in prompts]
    everything = draw_prompts(images, Sampling(shot=2, exclude_prompt=False), "")
    assert [d.query for d in everything] == list("abcdefg")
    with pytest.raises(SourceError, match="class 1 has 3 image"):
        draw_prompts(images, Sampling(shot=3), "list")
