import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import failures
from jobs.failures import Groups, normalise


def test_groups_by_stage_type_and_what_is_constant_in_the_message():
    groups = Groups(examples=2)
    for n in range(5):
        groups.add(f"k{n}", f"row {n} is short", "read", "ValueError")
    groups.add("k0", "row 0 is short", "decode", "ValueError")
    first, second = groups.listed()
    assert (first.stage, first.count, first.message) == ("read", 5, "row <n> is short")
    assert (first.first, list(first.examples)) == ("row 0 is short", ["k0", "k1"])
    assert (second.stage, second.count) == ("decode", 1)
    assert groups.count == 6


def test_a_key_is_one_example_however_often_it_fails():
    groups = Groups()
    for message in ("a 1", "a 2"):
        groups.add("key", message)
    (group,) = groups.listed()
    assert (group.count, group.examples) == (2, {"key": "a 1"})


def test_messages_beyond_the_most_are_counted_together(monkeypatch):
    monkeypatch.setattr(failures, "MOST_GROUPS", 3)
    groups = Groups()
    for n in range(10):
        groups.add(f"k{n}", "x" * (n + 1))
    assert {group.message: group.count for group in groups.listed()}[failures.OTHER] == 7


@pytest.mark.parametrize(
    ("messages", "same"),
    [
        (["cannot read /data/a/1.jpg", "cannot read /data/b/22.jpg"], True),
        (["no row 7 in x.parquet", "no row 81 in y.parquet"], True),
        (["cannot open s3://a/b.tar#member=1", "cannot open gs://c"], True),
        (["<File object at 0x7f3a>", "<File object at 0x7fb1>"], True),
        (["etag 3f2a77bc01 differs", "etag 99aa00ff12 differs"], True),
        (["took 1.5 s", "took 2 s"], True),
        (["file is truncated", "file is empty"], False),
        (["width is 3", "height is 3"], False),
    ],
)
def test_messages_are_compared_without_what_differs_from_row_to_row(messages, same):
    assert (len({normalise(message) for message in messages}) == 1) == same


@given(st.text(max_size=500))
def test_any_message_can_be_normalised(message):
    once = normalise(message)
    assert not any(c in "0123456789" for c in once)
