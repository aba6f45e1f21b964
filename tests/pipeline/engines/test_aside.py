"""Iterating in another thread: items, errors, and an end in between."""

import threading

import pytest

from pipeline.engines.aside import aside


def test_items_come_in_order_and_none_is_one():
    with aside(lambda: iter([1, None, 3])) as items:
        assert list(items) == [1, None, 3]


def test_errors_are_raised_where_the_items_are_taken():
    def broken():
        yield 1
        raise OSError("disk")

    with aside(broken) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="disk"):
            next(items)

    def unmakeable():
        raise ValueError("no source")

    with aside(unmakeable) as items, pytest.raises(ValueError, match="no source"):
        next(items)


def test_what_ends_the_body_does_not_pass_through_the_iterator():
    ended, seen = threading.Event(), []

    def endless():
        try:
            while True:
                yield len(seen)
        except BaseException as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    def body():
        with aside(endless) as items:
            next(items)
            assert not ended.is_set()
            raise SystemExit(130)

    with pytest.raises(SystemExit):
        body()
    assert ended.wait(5), "it is closed at its next item"
    assert [type(error) for error in seen] == [GeneratorExit]
