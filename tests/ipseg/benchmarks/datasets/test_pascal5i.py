from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.pascal5i import Pascal5iBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.benchmarks.protocol import Protocol
from ipseg.benchmarks.published.episode_lists import episode_csv
from ipseg.errors import SourceError

IMAGES = [f"2007_{n:06d}" for n in range(1, 9)]


def lines_of(fold):
    order = np.random.RandomState(fold)
    pairs = [(image, c) for c in range(5 * fold + 1, 5 * fold + 6) for image in IMAGES[: 3 + c % 4]]
    return [f"{pairs[i][0]}__{pairs[i][1]:02d}" for i in order.permutation(len(pairs))]


def palette(labels):
    image = Image.fromarray(labels)
    image.putpalette([(37 * i) % 256 for i in range(768)])
    return image


@pytest.fixture
def root(tmp_path) -> Path:
    """Palette PNGs as in VOC: row r of a map is class r, the last row is void."""
    base = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClassAug", "splits/val"):
        (base / folder).mkdir(parents=True)
    labels = np.repeat(np.array([*range(21), 255], np.uint8)[:, None], 3, axis=1)
    for image in IMAGES:
        Image.new("RGB", (3, 22)).save(base / f"JPEGImages/{image}.jpg")
        palette(labels).save(base / f"SegmentationClassAug/{image}.png")
    for fold in range(4):
        text = "".join(f"{line}\n" for line in lines_of(fold))
        (base / f"splits/val/fold{fold}.txt").write_text(text)
    return tmp_path


def reference(fold, shot):
    np.random.seed(0)
    pairs = [(line.split("__")[0], int(line.split("__")[1])) for line in lines_of(fold)]
    for number in range(1000):
        query, c = pairs[number % len(pairs)]
        row = [str(c), query]
        while len(row) - 2 < shot:
            x = np.random.choice([i for i, of in pairs if of == c], 1, replace=False)[0]
            if x != query:
                row.append(x)
        yield ",".join([row[0], *(f"JPEGImages/{name}.jpg" for name in row[1:])]) + "\n"


@pytest.mark.parametrize("fold", [0, 3])
@pytest.mark.parametrize("shot", [1, 5])
def test_episodes_are_those_of_the_reference(root, fold, shot):
    benchmark = Pascal5iBenchmark(str(root))
    benchmark.check()
    episodes = benchmark.episodes(str(fold), Sampling(shot=shot))
    assert episode_csv(episodes).decode() == "".join(reference(fold, shot))


def test_squashed_they_are_the_same_episodes(root):
    benchmark = Pascal5iBenchmark(str(root))
    plain, squashed = (benchmark.episodes("2", Sampling(rule=r)) for r in ("", "squashed"))
    assert plain == squashed
    assert benchmark.protocol_of("squashed") == Protocol(formula="A", side=518)


def test_an_episode_has_the_addresses_of_its_files(root):
    benchmark = Pascal5iBenchmark(str(root))
    assert benchmark.classes("1") == {6: "bus", 7: "car", 8: "cat", 9: "chair", 10: "cow"}
    for episode in benchmark.episodes("1", Sampling(shot=5))[:20]:
        for example in (episode.query, *episode.supports):
            assert Path(example.uri) == root / "VOC2012" / example.key
            ground_truth = read_ground_truth(example.ground_truth)
            assert set(np.nonzero(ground_truth.mask)[0]) == {episode.class_id}
            assert set(np.nonzero(ground_truth.ignore)[0]) == {21}


@pytest.mark.parametrize("place", ["", "datasets/VOC2012", "data/VOC2012", "VOCdevkit/VOC2012"])
@pytest.mark.parametrize("lists", ["splits/val", "splits/pascal/val"])
def test_every_known_folder_below_the_root_is_found(root, tmp_path, place, lists):
    base = tmp_path / "elsewhere" / place
    base.parent.mkdir(parents=True, exist_ok=True)
    (root / "VOC2012").rename(base)
    (base / lists).parent.mkdir(exist_ok=True)
    (base / "splits/val").rename(base / lists)
    benchmark = Pascal5iBenchmark(str(tmp_path / "elsewhere"))
    benchmark.check()
    assert Path(benchmark.episodes("0", Sampling())[0].query.uri).is_file()


def test_lists_can_be_next_to_the_images(root):
    (root / "splits/pascal").mkdir(parents=True)
    (root / "VOC2012/splits/val").rename(root / "splits/pascal/val")
    Pascal5iBenchmark(str(root)).check()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("JPEGImages", "PASCAL-5i is not complete: no JPEGImages/ in"),
        ("SegmentationClassAug", "no SegmentationClassAug/ in .*VOC2012"),
        ("splits/val/fold2.txt", r"no splits/val/fold2.txt in .*searched: .*splits/pascal/val"),
        ("JPEGImages/2007_000003.jpg", r"JPEGImages/2007_000003.jpg is missing.*\(1 of 6 files"),
        ("SegmentationClassAug/2007_000001.png", r"ClassAug/2007_000001.png is missing"),
    ],
)
def test_what_is_missing_is_named(root, path, message):
    (root / "VOC2012" / path).rename(root / "gone")
    with pytest.raises(SourceError, match=message):
        Pascal5iBenchmark(str(root)).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "fold0.txt is empty"),
        ("2007_000001\n", "fold0.txt has a line '2007_000001'"),
        ("2007_000001__06\n", "fold0.txt has a line '2007_000001__06'.*from 1 to 5"),
        ("../../000001__01\n", "fold0.txt has a line"),
        ("2007_000001__01\n", r"fold0.txt: class 1 has 1 image\(s\), too few"),
    ],
)
def test_a_malformed_list_is_named(root, text, message):
    (root / "VOC2012/splits/val/fold0.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        Pascal5iBenchmark(str(root)).episodes("0", Sampling())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("sansa", "cannot be reproduced"),
        ("prompt-set", "no sampling rule 'prompt-set'"),
        ("fss-sam3", "no SegmentationClass/ and SegmentationObject/ and ImageSets/Segm.*val.txt"),
    ],
)
def test_impossible_draws_are_refused(root, rule, message):
    with pytest.raises(SourceError, match=message):
        Pascal5iBenchmark(str(root)).episodes("0", Sampling(rule=rule))


def test_the_protocol_belongs_to_the_rule():
    benchmark = Pascal5iBenchmark("nowhere")
    assert benchmark.protocol_of("fss-sam3") == Protocol(formula="A'")
    assert benchmark.protocol_of("unique-supports").formula == "A"
