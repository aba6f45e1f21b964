import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.fss1000 import Fss1000Benchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.published.episode_lists import episode_csv
from ipseg.errors import SourceError

CLASSES = ["pencil_sharpener1", "abe's_flyingfish", "zebra"]  # as in the list: not sorted


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


IMAGE = encoded(Image.new("RGB", (8, 8), "green"), "JPEG")
SMOOTH = np.zeros((8, 8, 4), np.uint8)  # an outline from black over grey to white, opaque
SMOOTH[..., :3] = np.array([0, 60, 127, 128, 129, 200, 255, 255], np.uint8)[:, None]
SMOOTH[..., 3] = 255
MASK = encoded(Image.fromarray(SMOOTH), "PNG")


@pytest.fixture
def root(tmp_path) -> Path:
    base = tmp_path / "FSS-1000"
    for name in [*CLASSES, "not_in_the_list"]:
        (base / "data" / name).mkdir(parents=True)
        for number in range(1, 11):
            (base / "data" / name / f"{number}.jpg").write_bytes(IMAGE)
            (base / "data" / name / f"{number}.png").write_bytes(MASK)
    (base / "splits").mkdir()
    (base / "splits/test.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return tmp_path


def reference(shot):
    np.random.seed(0)
    for class_id, name in enumerate(sorted(CLASSES), start=760):
        for query in ["1", "10", *"23456789"]:
            row = [str(class_id), f"{name}/{query}.jpg"]
            while len(row) - 2 < shot:
                number = np.random.choice(range(1, 11), 1, replace=False)[0]
                if str(number) != query:
                    row.append(f"{name}/{number}.jpg")
            yield ",".join(row) + "\n"


@pytest.mark.parametrize("shot", [1, 5])
def test_episodes_are_those_of_the_reference(root, shot):
    benchmark = Fss1000Benchmark(str(root))
    benchmark.check()
    episodes = benchmark.episodes("test", Sampling(shot=shot))
    assert episode_csv(episodes).decode() == "".join(reference(shot))


def test_the_first_episode_is_the_published_one(root):
    # It is the first class, so the other 239 do not matter.
    first = Fss1000Benchmark(str(root)).episodes("test", Sampling())[0]
    assert (first.class_id, first.query.key) == (760, "abe's_flyingfish/1.jpg")
    assert first.supports[0].key == "abe's_flyingfish/3.jpg"


def test_an_episode_has_the_addresses_of_its_files(root):
    benchmark = Fss1000Benchmark(str(root))
    assert (benchmark.folds, list(benchmark.classes("test").items())) == (
        ("test",),
        list(enumerate(sorted(CLASSES), start=760)),
    )
    episode = benchmark.episodes("test", Sampling(shot=5))[11]
    assert (episode.class_name, episode.fold, episode.shot) == ("pencil_sharpener1", "test", 5)
    for example in (episode.query, *episode.supports):
        assert Path(example.uri) == root / "FSS-1000/data" / example.key
        expected = np.broadcast_to(np.arange(8) >= 3, (8, 8))  # grey 128 is the object
        np.testing.assert_array_equal(read_ground_truth(example.ground_truth).mask, expected)


@pytest.mark.parametrize(
    "place", ["", "datasets/FSS-1000", "data/FSS-1000", "datasets/fss/FSS-1000"]
)
@pytest.mark.parametrize("inner", ["data", ""])
def test_every_known_folder_below_the_root_is_found(root, tmp_path, place, inner):
    base = tmp_path / "elsewhere" / place
    base.parent.mkdir(parents=True, exist_ok=True)
    (root / "FSS-1000").rename(base)
    if not inner:  # SEGIC's layout
        for folder in (base / "data").iterdir():
            folder.rename(base / folder.name)
        (base / "data").rmdir()
    benchmark = Fss1000Benchmark(str(tmp_path / "elsewhere"))
    benchmark.check()
    episodes = benchmark.episodes("test", Sampling())
    assert episode_csv(episodes).decode() == "".join(reference(1))
    assert Path(episodes[0].query.uri) == base / inner / "abe's_flyingfish/1.jpg"


def test_the_root_can_be_a_url(root):
    query = Fss1000Benchmark(f"file://{root}").episodes("test", Sampling())[0].query
    assert query.uri.startswith("file://")
    assert read_ground_truth(query.ground_truth).mask.any()


def test_supports_can_be_kept_from_repeating(root):
    benchmark = Fss1000Benchmark(str(root))
    repeated = benchmark.episodes("test", Sampling(shot=5))
    unique = benchmark.episodes("test", Sampling(shot=5, rule="unique-supports"))
    assert any(len({s.key for s in e.supports}) < 5 for e in repeated)
    assert all(len({e.query.key, *(s.key for s in e.supports)}) == 6 for e in unique)


def test_prompts_can_be_the_same_for_a_whole_class(root):
    benchmark = Fss1000Benchmark(str(root))
    episodes = benchmark.episodes("test", Sampling(rule="prompt-set", seed=7))
    assert len(episodes) == 27
    assert len({(e.class_id, e.supports[0].key) for e in episodes}) == 3
    assert all(e.query.key != e.supports[0].key for e in episodes)
    assert (benchmark.protocol_of("prompt-set").formula, benchmark.protocol.formula) == ("B", "A")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("splits/test.txt", "FSS-1000 is not complete: no splits/test.txt in"),
        ("data/zebra", r"data/zebra is missing, a class of .*splits/test.txt \(1 of 3"),
        ("data/zebra/10.jpg", "zebra/10.jpg is missing"),
        ("data/abe's_flyingfish/3.png", "abe's_flyingfish/3.png is missing"),
    ],
)
def test_what_is_missing_is_named(root, path, message):
    (root / "FSS-1000" / path).rename(root / "gone")
    with pytest.raises(SourceError, match=message):
        Fss1000Benchmark(str(root)).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "test.txt is empty"),
        ("zebra\nzebra\n", "test.txt lists 'zebra' twice"),
        ("../zebra\n", "test.txt lists '../zebra', which is not the name"),
        ("..\n", "test.txt lists '..'"),
    ],
)
def test_a_malformed_list_is_named(root, text, message):
    (root / "FSS-1000/splits/test.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        Fss1000Benchmark(str(root)).check()


@pytest.mark.parametrize(
    ("fold", "rule", "message"),
    [
        ("val", "", "no fold 'val'; it has test"),
        ("test", "sansa", "cannot be reproduced"),
        ("test", "fss-sam3", "fss-1000 has no sampling rule 'fss-sam3'"),
    ],
)
def test_impossible_draws_are_refused(root, fold, rule, message):
    with pytest.raises(SourceError, match=message):
        Fss1000Benchmark(str(root)).episodes(fold, Sampling(rule=rule))
