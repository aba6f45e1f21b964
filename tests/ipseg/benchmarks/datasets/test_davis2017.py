from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.davis2017 import Davis2016Benchmark, Davis2017Benchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ConfigError, SourceError


def video(kit: Path, name: str, frames: int, objects: int):
    """Object k has k pixels in row k; the last column is void after the first frame."""
    for folder in ("JPEGImages", "Annotations"):
        (kit / folder / "480p" / name).mkdir(parents=True)
    for frame in range(frames):
        Image.new("RGB", (8, 6)).save(kit / "JPEGImages" / "480p" / name / f"{frame:05}.jpg")
        labels = np.zeros((6, 8), np.uint8)
        for index in range(1, objects + 1):
            labels[index, :index] = index
        if frame:
            labels[:, -1] = 255
        image = Image.fromarray(labels).convert("P")
        image.putpalette([value for value in range(256) for _ in range(3)])
        image.save(kit / "Annotations" / "480p" / name / f"{frame:05}.png")


@pytest.fixture
def root(tmp_path):
    kit = tmp_path / "DAVIS" / "2017"
    video(kit, "dogs-jump", 5, 2)
    video(kit, "bike", 4, 1)
    video(kit, "of-train", 4, 1)
    (kit / "ImageSets" / "2017").mkdir(parents=True)
    (kit / "ImageSets" / "2017" / "val.txt").write_text("dogs-jump\nbike\n")
    return tmp_path


def test_every_object_is_queried_in_every_frame_but_first_and_last(root):
    benchmark = Davis2017Benchmark(str(root))
    benchmark.check()
    assert benchmark.classes("val") == {0: "dogs-jump/1", 1: "dogs-jump/2", 2: "bike/1"}
    episodes = benchmark.episodes("val", Sampling())
    frames = [(e.class_name, e.query.key.rpartition("/")[2]) for e in episodes]
    assert frames == [
        *(("dogs-jump/1", f"0000{i}.jpg") for i in (1, 2, 3)),
        *(("dogs-jump/2", f"0000{i}.jpg") for i in (1, 2, 3)),
        *(("bike/1", f"0000{i}.jpg") for i in (1, 2)),
    ]
    assert {e.supports[0].key for e in episodes} == {
        f"JPEGImages/480p/{name}/00000.jpg" for name in ("dogs-jump", "bike")
    }
    ground_truth = read_ground_truth(episodes[3].query.ground_truth)
    assert ground_truth.mask.sum() == 2
    assert ground_truth.ignore is None  # void is background in this task
    assert [e.class_id for e in episodes] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_in_2016_all_objects_of_a_sequence_are_one(root):
    (root / "DAVIS/2017/ImageSets/2016").mkdir()
    (root / "DAVIS/2017/ImageSets/2016/val.txt").write_text("dogs-jump\n")
    benchmark = Davis2016Benchmark(str(root))
    assert benchmark.classes("val") == {0: "dogs-jump/1"}
    episodes = benchmark.episodes("val", Sampling())
    assert len(episodes) == 3
    assert {read_ground_truth(e.query.ground_truth).mask.sum() for e in episodes} == {1 + 2}


@pytest.mark.parametrize("place", ["", "2017", "DAVIS/2017", "DAVIS17/trainval"])
def test_the_kit_is_found_in_common_folders(root, tmp_path_factory, place):
    other = tmp_path_factory.mktemp("other")
    (other / place).parent.mkdir(parents=True, exist_ok=True)
    if not place:
        other.rmdir()
    (root / "DAVIS" / "2017").rename(other / place)
    assert len(Davis2017Benchmark(str(other)).episodes("val", Sampling())) == 8


def test_a_part_of_the_sequences_is_refused(root):
    with (root / "DAVIS" / "2017" / "ImageSets" / "2017" / "val.txt").open("a") as file:
        file.write("goat\n")
    with pytest.raises(SourceError, match=r"not all of DAVIS-2017: 1 of 3 .*\(goat\)"):
        Davis2017Benchmark(str(root)).check()


def test_a_sequence_needs_both_sides_of_every_frame(root):
    kit = root / "DAVIS" / "2017"
    (kit / "Annotations" / "480p" / "bike" / "00002.png").unlink()
    with pytest.raises(SourceError, match=r"frame 00002 of sequence 'bike' is missing in .*Annot"):
        Davis2017Benchmark(str(root)).check()
    for folder, file in (("Annotations", "00003.png"), ("JPEGImages", "00003.jpg")):
        (kit / folder / "480p" / "bike" / file).unlink()
    (kit / "JPEGImages" / "480p" / "bike" / "00002.jpg").unlink()
    with pytest.raises(SourceError, match=r"bike has 2 frame\(s\)"):
        Davis2017Benchmark(str(root)).check()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("P", (8, 6)), "has no object"),
        (Image.new("RGB", (8, 6)), "of mode RGB, not a label map"),
        (None, "cannot be used as a mask: not an image"),
    ],
)
def test_a_first_frame_without_objects_is_named(root, content, message):
    path = root / "DAVIS" / "2017" / "Annotations" / "480p" / "bike" / "00000.png"
    path.write_bytes(b"nothing")
    if content is not None:
        content.save(path)
    with pytest.raises(SourceError, match=message):
        Davis2017Benchmark(str(root)).check()


@pytest.mark.parametrize("text", ["../bike\n", "bike\nbike\n", "", ".bike\n"])
def test_the_list_has_plain_names_without_repeats(root, text):
    (root / "DAVIS" / "2017" / "ImageSets" / "2017" / "val.txt").write_text(text)
    with pytest.raises(SourceError, match=r"val\.txt"):
        Davis2017Benchmark(str(root)).check()


def test_only_the_first_frame_is_given(root):
    with pytest.raises(ConfigError, match="shot must be 1, not 5"):
        Davis2017Benchmark(str(root)).episodes("val", Sampling(shot=5))
    with pytest.raises(SourceError, match=r"(?s)no JPEGImages/480p/, .*davischallenge"):
        Davis2017Benchmark(str(root / "elsewhere")).check()


def test_a_first_frame_of_smoothed_edges_is_refused_and_gaps_are_said(root, caplog):
    path = root / "DAVIS" / "2017" / "Annotations" / "480p" / "bike" / "00000.png"
    small = np.zeros((24, 42), np.uint8)
    small[6:18, 8:30] = 128
    smooth = Image.fromarray(small).resize((161, 97), Image.Resampling.BICUBIC)
    smooth.save(path)
    assert len(np.unique(np.asarray(smooth))) > 20, "objects, in a video of one"
    with pytest.raises(
        SourceError, match=r"bike/00000.png cannot be a label map: .* outlines only"
    ):
        Davis2017Benchmark(str(root)).check()
    smooth = Image.fromarray(small).resize((161, 97), Image.Resampling.NEAREST)
    smooth.save(path)
    benchmark = Davis2017Benchmark(str(root))
    benchmark.check()
    assert list(benchmark.classes("val").values()) == ["dogs-jump/1", "dogs-jump/2", "bike/128"]
    assert "bike/00000.png has the objects 128, with gaps between them" in caplog.text
