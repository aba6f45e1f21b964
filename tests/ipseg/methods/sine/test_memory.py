"""Which frames are remembered: worked through by hand."""

import pytest

from ipseg.methods.sine.memory import Memory, Remembering


def kept(memory, scores, stride=1):
    for index, score in enumerate(scores):
        memory.push(index * stride, score, index * stride)
    return memory.numbers


def test_the_example_is_kept_beside_the_best_of_the_others():
    # 0.9 at frame 0 is worth 0.9 * 17 / 20 = 0.765 at frame 3, less than 0.8 now.
    assert kept(Memory(Remembering(frames=3), -1), [0.9, 0.2, 0.85, 0.8]) == [0, 2, 3]


def test_a_frame_can_be_too_bad_to_be_remembered():
    assert kept(Memory(Remembering(frames=3), -1), [0.9, 0.8, 0.1]) == [0, 0, 1]


def test_of_frames_that_are_worth_nothing_the_raw_score_and_then_the_age_decide():
    settings = Remembering(frames=4)
    memory = Memory(settings, -1)
    # At frame 100 all earlier ones are worth nothing; the lowest score goes first.
    for number, score in ((0, 0.5), (1, 0.9), (2, 0.5), (100, 0.3)):
        memory.push(number, score, number)
    assert memory.numbers == [0, 1, 2, 100], "of two with 0.5 the older one went"
    memory.push(200, 0.3, 200)
    assert memory.numbers == [0, 1, 2, 200], "100 has the lowest score of those that are old"


def test_an_example_that_competes_goes_when_it_is_old():
    settings = Remembering(frames=2, example="competes")
    assert kept(Memory(settings, -1), [0.9]) == [0, 0]
    memory = Memory(settings, "example")
    assert kept(memory, [0.9] * 5) == [3, 4]
    assert list(memory) == [3, 4]


def test_with_one_frame_there_is_the_example_alone():
    memory = Memory(Remembering(frames=1), "example")
    assert kept(memory, [0.9, 0.9, 0.9]) == [0]
    assert list(memory) == ["example"]


def test_it_never_holds_more_than_it_may():
    memory = Memory(Remembering(), -1)
    scores = [((37 * i) % 101) / 101 for i in range(300)]
    for index, score in enumerate(scores):
        memory.push(index, score, index)
        assert len(memory.numbers) == len(list(memory)) <= 6


@pytest.mark.parametrize(("stride", "expected"), [(1, [0, 0, 1]), (10, [0, 2, 3])])
def test_decay_goes_by_the_numbers_it_is_given(stride, expected):
    found = kept(Memory(Remembering(frames=3), -1), [0.9, 0.9, 0.5, 0.5], stride)
    assert [number // stride for number in found] == expected
