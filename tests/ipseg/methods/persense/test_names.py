import pytest

from ipseg.methods.persense.names import plural


@pytest.mark.parametrize(
    ("word", "words"),
    [
        *(("egg", "all eggs"), ("Bus", "all Bus"), ("berry", "all berries"), ("key", "all keys")),
        *(("peach", "all peaches"), ("tomato", "all tomatoes"), ("orange", "all oranges")),
        *(("y", "all ies"), ("", "all s")),
    ],
)
def test_plurals(word, words):
    assert plural(word) == words
