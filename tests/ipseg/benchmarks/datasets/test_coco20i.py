import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ipseg.benchmarks.annotations.coco_splits import read_split, write_split
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.coco20i import Coco20iBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.protocol import Protocol
from ipseg.benchmarks.published.episode_lists import episode_csv, is_published
from ipseg.errors import IpsegError, SourceError

IMAGES = [f"val2014/COCO_val2014_{n:012d}.jpg" for n in range(1, 13)]


def lists_of(fold):
    """The classes of the fold share twelve images, each in another order."""
    order = np.random.RandomState(fold)
    found = {c: [] for c in range(80)}
    for c in range(fold, 80, 4):
        found[c] = [IMAGES[i] for i in order.permutation(12)[: 3 + c % 7]]
    return found


@pytest.fixture
def root(tmp_path) -> Path:
    """The tree of HSNet and Matcher: row r of a map is class r, so every map has every class."""
    base = tmp_path / "datasets" / "COCO2014"
    labels = np.repeat(np.arange(81, dtype=np.uint8)[:, None], 4, axis=1)
    for folder in ("val2014", "annotations/val2014", "splits/val"):
        (base / folder).mkdir(parents=True)
    for name in IMAGES:
        Image.new("RGB", (4, 81), "red").save(base / name)
        Image.fromarray(labels).save((base / "annotations" / name).with_suffix(".png"))
    for fold in range(4):
        (base / f"splits/val/fold{fold}.pkl").write_bytes(pickle.dumps(lists_of(fold)))
    return tmp_path


def reference(images, shot):
    np.random.seed(0)
    classes = [c for c, names in images.items() if names]
    for _ in range(1000):
        c = np.random.choice(classes, 1, replace=False)[0]
        row = [str(c), np.random.choice(images[c], 1, replace=False)[0]]
        while len(row) - 2 < shot:
            x = np.random.choice(images[c], 1, replace=False)[0]
            if x != row[1]:
                row.append(x)
        yield ",".join(row) + "\n"


@pytest.mark.parametrize("fold", ["0", "3"])
@pytest.mark.parametrize("shot", [1, 5])
def test_episodes_are_those_of_the_reference(root, fold, shot):
    benchmark = Coco20iBenchmark(str(root))
    benchmark.check()
    episodes = benchmark.episodes(fold, Sampling(shot=shot))
    assert episode_csv(episodes).decode() == "".join(reference(lists_of(int(fold)), shot))
    assert is_published(benchmark.name, fold, episodes) is False
    assert episodes[0].class_id == 72 + int(fold)  # as published: the class is drawn first


def test_an_episode_has_the_addresses_of_its_files(root):
    benchmark = Coco20iBenchmark(str(root))
    episodes = benchmark.episodes("1", Sampling(shot=5))
    assert [e.episode for e in episodes] == list(range(1000))
    for e in episodes[:50]:
        assert (e.fold, e.seed, e.shot) == ("1", 0, 5)
        assert benchmark.classes("1")[e.class_id] == e.class_name
        for example in (e.query, *e.supports):
            assert Path(example.uri) == root / "datasets/COCO2014" / example.key
            rows, _ = np.nonzero(read_ground_truth(example.ground_truth).mask)
            assert set(rows) == {e.class_id + 1}


def test_folds_take_every_fourth_class():
    benchmark = Coco20iBenchmark("nowhere")
    assert benchmark.folds == ("0", "1", "2", "3")
    assert list(benchmark.classes("2")) == list(range(2, 80, 4))
    assert (benchmark.classes("0")[0], benchmark.classes("3")[79]) == ("person", "toothbrush")
    assert benchmark.classes("0")[72] == "refrigerator"


@pytest.mark.parametrize("place", ["", "COCO2014", "MSCOCO2014", "data/MSCOCO2014"])
def test_every_known_folder_below_the_root_is_found(root, tmp_path, place):
    base = tmp_path / "elsewhere" / place
    base.parent.mkdir(parents=True, exist_ok=True)
    (root / "datasets/COCO2014").rename(base)
    benchmark = Coco20iBenchmark(f"{tmp_path}/elsewhere/")
    benchmark.check()
    assert Path(benchmark.episodes("0", Sampling())[0].query.uri).is_file()


def test_the_root_can_be_a_url(root):
    benchmark = Coco20iBenchmark(f"file://{root}")
    benchmark.check()
    query = benchmark.episodes("0", Sampling())[0].query
    assert query.uri == f"file://{root}/datasets/COCO2014/{query.key}"
    assert read_ground_truth(query.ground_truth).mask.any()


def test_a_converted_split_gives_the_same_episodes_and_yields_to_a_pickle(root):
    splits = root / "datasets/COCO2014/splits/val"
    before = Coco20iBenchmark(str(root)).episodes("0", Sampling())
    pickled = (splits / "fold0.pkl").read_bytes()
    write_split(f"{splits}/fold0.parquet", read_split(f"{splits}/fold0.pkl"))
    (splits / "fold0.pkl").unlink()
    assert Coco20iBenchmark(str(root)).episodes("0", Sampling()) == before
    write_split(f"{splits}/fold0.parquet", {})
    (splits / "fold0.pkl").write_bytes(pickled)
    assert Coco20iBenchmark(str(root)).episodes("0", Sampling()) == before


def test_prompts_can_be_the_same_for_a_whole_class(root):
    benchmark = Coco20iBenchmark(str(root))
    lists = {c: names for c, names in lists_of(0).items() if names}
    episodes = benchmark.episodes("0", Sampling(rule="prompt-set"))
    assert len(episodes) == sum(len(names) - 1 for names in lists.values())
    prompts = {e.class_id: e.supports[0].key for e in episodes}
    assert all(e.supports[0].key == prompts[e.class_id] != e.query.key for e in episodes)
    assert benchmark.protocol_of("prompt-set").formula == "B"
    assert benchmark.protocol_of("fss-sam3") == Protocol(formula="A'")
    assert benchmark.protocol_of("unique-supports") == benchmark.protocol


@pytest.mark.parametrize(
    ("fold", "sampling", "message"),
    [
        ("4", Sampling(), "no fold '4'; it has 0, 1, 2, 3"),
        ("0", Sampling(rule="sansa"), "six worker processes.*--num_workers 0"),
        ("0", Sampling(rule="other"), "no sampling rule 'other'; it has 'unique-supports'"),
        ("0", Sampling(shot=0), "shot is 0"),
        ("0", Sampling(seed=-1), "seed is -1"),
        ("0", Sampling(shot=5, rule="unique-supports"), r"fold0.pkl: class \d+ has 3 image"),
        ("0", Sampling(rule="fss-sam3"), "instances_val2014.json is missing"),
    ],
)
def test_impossible_draws_are_refused(root, fold, sampling, message):
    with pytest.raises(IpsegError, match=message):
        Coco20iBenchmark(str(root)).episodes(fold, sampling)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("val2014", "COCO-20i is not complete: no val2014/ in .*MSCOCO2014"),
        ("annotations/val2014", "no annotations/val2014/ in .*datasets/COCO2014; `ipseg data prep"),
        ("splits/val/fold2.pkl", "no splits/val/fold2.pkl .*which is missing too"),
        (IMAGES[3], r"COCO_val2014_000000000004.jpg is missing.*\(1 of \d+ files"),
        (
            "annotations/val2014/COCO_val2014_000000000007.png",
            r"annotations/val2014/COCO_val2014_000000000007.png is missing.*\(1 of \d+ files",
        ),
    ],
)
def test_what_is_missing_is_named(root, path, message):
    base = root / "datasets/COCO2014"
    (base / path).rename(base / "gone")
    with pytest.raises(SourceError, match=message):
        Coco20iBenchmark(str(root)).check()


def test_official_annotations_alone_pass_but_not_for_the_reference(root):
    base = root / "datasets/COCO2014"
    (base / "splits/val").rename(base / "gone")
    (base / "annotations/instances_val2014.json").write_text(json.dumps({}))
    benchmark = Coco20iBenchmark(str(root))
    benchmark.check()
    with pytest.raises(SourceError, match=r"no splits/val/fold1.pkl.*prepare coco-20i.*is there;"):
        benchmark.episodes("1", Sampling())


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "fold0.pkl is truncated"),
        (pickle.dumps(Evil()), "fold0.pkl is not plain data"),
        (pickle.dumps([1]), "fold0.pkl contains a list, not class"),
        (pickle.dumps({80: []}), "fold0.pkl lists class 80"),
        (pickle.dumps({0: "val2014"}), "fold0.pkl: class 0 has a str"),
        (pickle.dumps({0: ["val2014/../x.jpg"]}), r"fold0.pkl: class 0 lists 'val2014/\.\./x.jpg'"),
        (
            pickle.dumps({0: ["val2014/COCO_train2014_000000000001.jpg"]}),
            "fold0.pkl: class 0 lists",
        ),
        (pickle.dumps(lists_of(1)), "fold0.pkl: class 0 has 0 image"),
    ],
)
def test_a_malformed_split_is_named(root, content, message):
    (root / "datasets/COCO2014/splits/val/fold0.pkl").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        Coco20iBenchmark(str(root)).episodes("0", Sampling())


def test_a_malformed_converted_split_is_named(root):
    url = root / "datasets/COCO2014/splits/val/fold0.parquet"
    url.with_suffix(".pkl").unlink()
    url.write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"fold0.parquet is damaged"):
        Coco20iBenchmark(str(root)).check()
    pq.write_table(pa.table({"class": [1]}), url)
    with pytest.raises(SourceError, match=r"fold0.parquet has the columns class"):
        Coco20iBenchmark(str(root)).check()
    with pytest.raises(SourceError, match=r"fold9.parquet is missing"):
        read_split(str(url.with_name("fold9.parquet")))
