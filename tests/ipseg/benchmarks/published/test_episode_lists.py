import csv
import io
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.published.episode_lists import EPISODE_SHA256, episode_csv, is_published


def episode(number, class_id, query, *supports):
    example = Example(query, query, "")
    return Episode(
        number, "0", class_id, "", example, tuple(replace(example, key=s) for s in supports)
    )


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


def test_a_list_is_compared_with_the_published_one():
    episodes = [episode(0, 72, "a", "b")]
    assert is_published("coco-20i", "0", episodes) is False
    assert is_published("coco-20i", "4", episodes) is None
    assert is_published("coco-20i", "0", []) is None
    assert len(EPISODE_SHA256) == 10
    assert all(len(bytes.fromhex(sha)) == 32 for sha in EPISODE_SHA256.values())
