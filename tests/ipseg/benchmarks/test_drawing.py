import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.drawing import (
    EPISODE_SHA256,
    UNIQUE_SUPPORTS,
    draw_by_class,
    draw_prompts,
    draw_supports,
    episode_csv,
    is_published,
)
from ipseg.benchmarks.episode import Episode, Example
from ipseg.errors import SourceError

LISTS = st.dictionaries(
    st.integers(0, 79),
    st.integers(2, 40).map(lambda n: [f"picture {i}" for i in range(n)]),
    min_size=1,
    max_size=20,
)


def reference(images, shot, seed, count):
    """The rule as it is described: NumPy's global generator, seeded once, and lists of names."""
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


def episode(number, class_id, query, *supports):
    example = Example(query, query, "")
    return Episode(
        number, "0", class_id, "", example, tuple(replace(example, key=s) for s in supports)
    )


@given(LISTS, st.sampled_from([1, 5]), st.integers(0, 2**32 - 1))
def test_episodes_are_drawn_as_the_reference_draws_them(images, shot, seed):
    drawn = draw_by_class(images, Sampling(shot=shot, seed=seed), "list", count=30)
    assert drawn == reference(images, shot, seed, 30)


def test_a_list_as_long_as_that_of_persons_is_drawn_from_alike():
    images = {0: [f"{i:012d}" for i in range(19217)], 4: ["a", "b", "c"]}
    assert draw_by_class(images, Sampling(), "list", count=50) == reference(images, 1, 0, 50)


def test_the_global_generator_is_left_alone():
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
def test_a_class_that_would_be_drawn_from_for_ever_is_refused(names, sampling):
    with pytest.raises(SourceError, match=r"fold0.pkl: class 8 has \d picture\(s\), too few"):
        draw_by_class({8: names}, sampling, "fold0.pkl", count=3)


def test_prompts_are_drawn_once_for_each_class():
    pictures = {1: ["a", "b", "c"], 2: ["d", "e", "f", "g"]}
    drawn = draw_prompts(pictures, Sampling(shot=2), "")
    assert [d.class_id for d in drawn] == [1, 2, 2]
    for class_id, names in pictures.items():
        supports = {d.supports for d in drawn if d.class_id == class_id}
        assert len(supports) == 1
        (shown,) = supports
        queries = [d.query for d in drawn if d.class_id == class_id]
        assert queries == [name for name in names if name not in shown]
    everything = draw_prompts(pictures, Sampling(shot=2, exclude_prompt=False), "")
    assert [d.query for d in everything] == list("abcdefg")
    with pytest.raises(SourceError, match="class 1 has 3 picture"):
        draw_prompts(pictures, Sampling(shot=3), "list")


def test_lists_are_serialised_as_they_are_hashed():
    episodes = [
        episode(0, 760, "abe's_flyingfish/1.jpg", "abe's_flyingfish/3.jpg"),
        episode(1, 0, "val2014/COCO_val2014_000000000042.jpg", "b.jpg"),
    ]
    assert episode_csv(episodes) == (
        b"760,abe's_flyingfish/1.jpg,abe's_flyingfish/3.jpg\n"
        b"0,val2014/COCO_val2014_000000000042.jpg,b.jpg\n"
    )
    assert episode_csv([]) == b""


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))))
def test_any_name_comes_back_from_a_list(names):
    rows = [episode(i, i, name, name[::-1]) for i, name in enumerate(names)]
    text = io.StringIO(episode_csv(rows).decode(), newline="")
    assert list(csv.reader(text)) == [[str(i), n, n[::-1]] for i, n in enumerate(names)]


def test_a_list_says_whether_it_is_the_published_one():
    episodes = [episode(0, 72, "a", "b")]
    assert is_published("coco-20i", "0", episodes) is False
    assert is_published("coco-20i", "4", episodes) is None
    assert is_published("coco-20i", "0", []) is None
    assert len(EPISODE_SHA256) == 10
    assert all(len(bytes.fromhex(sha)) == 32 for sha in EPISODE_SHA256.values())
