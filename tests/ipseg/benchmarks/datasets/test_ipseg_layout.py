import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.ipseg_layout import IpsegLayoutBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ConfigError, SourceError


@pytest.fixture
def root(tmp_path):
    """One set of two classes."""
    for name in ("imgs/cat/00.jpg", "imgs/cat/01.jpg", "imgs/dog/00.png", "imgs/dog/01.jpg"):
        path = tmp_path / name
        ground_truth = tmp_path / name.replace("imgs", "gts")
        for file, value in ((path, "grey"), (ground_truth.with_suffix(".png"), "white")):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), value).save(file)
    (tmp_path / "ref_composed.txt").write_text("cat 01\ndog 00")  # no newline at the end
    return tmp_path


def keys(root, fold="", **sampling):
    episodes = IpsegLayoutBenchmark(str(root)).episodes(fold, Sampling(**sampling))
    return [(e.query.key, e.supports[0].key) for e in episodes]


def test_the_list_names_the_supports(root):
    IpsegLayoutBenchmark(str(root)).check()
    assert keys(root) == [
        ("imgs/cat/00.jpg", "imgs/cat/01.jpg"),
        ("imgs/dog/01.jpg", "imgs/dog/00.png"),
    ]


def test_under_the_released_rule_the_reference_is_a_query_too(root):
    assert len(keys(root, rule="released")) == len(keys(root, exclude_prompt=False)) == 4


def test_a_prompt_set_is_another_list(root):
    (root / "set2.txt").write_text("cat 00.jpg\r\ndog 01\r\n")
    assert [prompts for _, prompts in keys(root, rule="set2.txt")] == [
        *("imgs/cat/00.jpg", "imgs/dog/01.jpg"),
    ]
    with pytest.raises(SourceError, match="not a plain name"):
        keys(root, rule="../set2.txt")
    with pytest.raises(SourceError, match=r"set3\.txt is missing"):
        keys(root, rule="set3.txt")


def test_a_reference_with_a_slash_is_a_path_below_the_root(root):
    Image.new("RGB", (8, 6)).save(root / "other.jpg")
    (root / "refs").mkdir()
    Image.new("RGB", (8, 6)).save(root / "refs" / "my.cat.jpg")
    (root / "ref_composed.txt").write_text("dog imgs/cat/00\ncat refs/my.cat\n")
    episodes = IpsegLayoutBenchmark(str(root)).episodes("", Sampling())
    prompts = {e.class_name: e.supports[0] for e in episodes}
    assert prompts["dog"].key == "imgs/cat/00.jpg"
    assert read_ground_truth(prompts["dog"].ground_truth).mask.all()
    assert (prompts["cat"].key, prompts["cat"].ground_truth) == ("refs/my.cat.jpg", "")
    assert len(episodes) == 4  # neither is an image of its own class


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
        ("cat 00\n", r"ref_composed\.txt has no reference of 1 object\(s\), the first is 'dog'"),
        ("cat 00\ndog 0\n", r"'dog' has no image named '0'"),  # not a part of a name
        ("cat 00\ncow 00\n", "the object 'cow', which has no folder"),
        ("cat 00\ncat 01\n", "a reference of 'cat' twice"),
        ("cat\n", "has a line 'cat'"),
        ("cat ../00\ndog 00\n", "must be below the data root"),
        ("cat /etc/x\ndog 00\n", "must be below the data root"),
        ("cat refs/00\ndog 00\n", r"there is no image .*/refs/00"),
    ],
)
def test_an_invalid_list_is_refused(root, text, message):
    (root / "ref_composed.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        keys(root)


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(SourceError, match="no sampling rule 'paper'; it has 'released'"):
        keys(root, rule="paper")
    with pytest.raises(ConfigError, match="shot must be 1"):
        keys(root, shot=5)
    (root / "ref_composed.txt").unlink()
    with pytest.raises(SourceError, match=r"ref_composed\.txt is missing"):
        IpsegLayoutBenchmark(str(root)).check()
    with pytest.raises(SourceError, match=r"neither imgs/ nor folders with ref_composed\.txt"):
        IpsegLayoutBenchmark(str(root / "gts")).check()
