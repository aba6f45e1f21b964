import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.ipseg_layout import IpsegLayoutBenchmark
from ipseg.benchmarks.truth import read_truth
from ipseg.errors import ConfigError, SourceError


@pytest.fixture
def root(tmp_path):
    """One set of two classes."""
    for name in ("imgs/cat/00.jpg", "imgs/cat/01.jpg", "imgs/dog/00.png", "imgs/dog/01.jpg"):
        path = tmp_path / name
        truth = tmp_path / name.replace("imgs", "gts")
        for file, value in ((path, "grey"), (truth.with_suffix(".png"), "white")):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), value).save(file)
    (tmp_path / "ref_composed.txt").write_text("cat 01\ndog 00")  # no newline at the end
    return tmp_path


def asked(root, fold="", **sampling):
    episodes = IpsegLayoutBenchmark(str(root)).episodes(fold, Sampling(**sampling))
    return [(e.query.key, e.supports[0].key) for e in episodes]


def test_the_list_says_what_is_shown(root):
    IpsegLayoutBenchmark(str(root)).check()
    assert asked(root) == [
        ("imgs/cat/00.jpg", "imgs/cat/01.jpg"),
        ("imgs/dog/01.jpg", "imgs/dog/00.png"),
    ]


def test_the_released_rule_asks_about_the_reference_too(root):
    assert len(asked(root, rule="released")) == len(asked(root, exclude_prompt=False)) == 4


def test_a_prompt_set_is_another_list(root):
    (root / "set2.txt").write_text("cat 00.jpg\r\ndog 01\r\n")
    assert [shown for _, shown in asked(root, rule="set2.txt")] == [
        *("imgs/cat/00.jpg", "imgs/dog/01.jpg"),
    ]
    with pytest.raises(SourceError, match="no plain name"):
        asked(root, rule="../set2.txt")
    with pytest.raises(SourceError, match=r"set3\.txt is missing"):
        asked(root, rule="set3.txt")


def test_a_reference_with_a_slash_is_a_path_below_the_root(root):
    Image.new("RGB", (8, 6)).save(root / "shown.jpg")
    (root / "refs").mkdir()
    Image.new("RGB", (8, 6)).save(root / "refs" / "my.cat.jpg")
    (root / "ref_composed.txt").write_text("dog imgs/cat/00\ncat refs/my.cat\n")
    episodes = IpsegLayoutBenchmark(str(root)).episodes("", Sampling())
    shown = {e.class_name: e.supports[0] for e in episodes}
    assert shown["dog"].key == "imgs/cat/00.jpg"
    assert read_truth(shown["dog"].truth).mask.all()
    assert (shown["cat"].key, shown["cat"].truth) == ("refs/my.cat.jpg", "")
    assert len(episodes) == 4  # neither is among the pictures of its own class


def test_several_sets_are_folds(root, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    (above / "data" / "fss-te").mkdir(parents=True)
    root.rename(above / "data" / "fss-te" / "perseg")
    benchmark = IpsegLayoutBenchmark(str(above))
    benchmark.check()
    assert benchmark.folds == ("perseg",)
    assert benchmark.classes("perseg") == {0: "cat", 1: "dog"}
    (first, *_) = benchmark.episodes("perseg", Sampling())
    assert (first.fold, first.query.key) == ("perseg", "imgs/cat/00.jpg")
    with pytest.raises(SourceError, match="no set 'fss'; it has perseg"):
        benchmark.classes("fss")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 00\n", r"ref_composed\.txt names no reference of 'dog'"),
        ("cat 00\ndog 0\n", r"'dog' has no picture named '0'"),  # a part of a name is not it
        ("cat 00\ncow 00\n", "the object 'cow', of which there is no folder"),
        ("cat 00\ncat 01\n", "a reference of 'cat' twice"),
        ("cat\n", "has a line 'cat'"),
        ("cat ../00\ndog 00\n", "must lie below the data root"),
        ("cat /etc/x\ndog 00\n", "must lie below the data root"),
        ("cat refs/00\ndog 00\n", r"there is no picture .*/refs/00"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(root, text, message):
    (root / "ref_composed.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        asked(root)


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(SourceError, match="no sampling rule 'paper'; it knows 'released'"):
        asked(root, rule="paper")
    with pytest.raises(ConfigError, match="shot must be 1"):
        asked(root, shot=5)
    (root / "ref_composed.txt").unlink()
    with pytest.raises(SourceError, match=r"ref_composed\.txt is missing"):
        IpsegLayoutBenchmark(str(root)).check()
    with pytest.raises(SourceError, match=r"neither imgs/ nor folders with ref_composed\.txt"):
        IpsegLayoutBenchmark(str(root / "gts")).check()
