import json

import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.youtube_vos import SEEN, YoutubeVosBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError

FRAMES = [f"{5 * n:05}" for n in range(4)]
OBJECTS = {
    "b": {"1": ("person", FRAMES), "3": ("spoon", FRAMES[1:])},
    "a": {"2": ("zebra", FRAMES[:3])},
}


@pytest.fixture
def root(tmp_path):
    """Object k of a video has k pixels in row k of every frame that lists it."""
    base = tmp_path / "valid"
    for video, objects in OBJECTS.items():
        for folder in ("JPEGImages", "Annotations"):
            (base / folder / video).mkdir(parents=True)
        for frame in FRAMES:
            Image.new("RGB", (8, 6)).save(base / f"JPEGImages/{video}/{frame}.jpg")
            labels = np.zeros((6, 8), np.uint8)
            for number, (_, frames) in objects.items():
                if frame in frames:
                    labels[int(number), : int(number)] = int(number)
            Image.fromarray(labels).save(base / f"Annotations/{video}/{frame}.png")
    write_meta(base, OBJECTS)
    return tmp_path


def write_meta(base, objects):
    videos = {
        video: {"objects": {n: {"category": c, "frames": f} for n, (c, f) in of.items()}}
        for video, of in objects.items()
    }
    (base / "meta.json").write_text(json.dumps({"videos": videos}))


def test_an_object_is_asked_for_after_the_frame_that_lists_it_first(root):
    benchmark = YoutubeVosBenchmark(str(root))
    benchmark.check()
    assert benchmark.classes("seen") == {0: "a/2", 1: "b/1"}
    assert benchmark.classes("unseen") == {2: "b/3"}
    (late,) = {e.supports[0] for e in benchmark.episodes("unseen", Sampling())}
    assert late.key == "JPEGImages/b/00005.jpg"
    assert read_ground_truth(late.ground_truth).mask.sum() == 3
    frames = [
        (e.class_name, e.query.key.rpartition("/")[2])
        for fold in benchmark.folds
        for e in benchmark.episodes(fold, Sampling())
    ]
    assert frames == [
        *(("a/2", f"{frame}.jpg") for frame in FRAMES[1:3]),
        *(("b/1", f"{frame}.jpg") for frame in FRAMES[1:]),
        *(("b/3", f"{frame}.jpg") for frame in FRAMES[2:]),
    ]


def test_a_label_map_that_is_there_for_a_later_object_is_no_ground_truth_of_others(root, caplog):
    caplog.set_level("INFO", "ipseg")
    for frame in FRAMES[2:]:
        (root / f"valid/Annotations/b/{frame}.png").unlink()
    benchmark = YoutubeVosBenchmark(str(root))
    benchmark.check()
    episodes = [e for fold in benchmark.folds for e in benchmark.episodes(fold, Sampling())]
    assert len(episodes) == 7
    assert {e.query.ground_truth for e in episodes} == {""}
    assert all(e.supports[0].ground_truth for e in episodes)
    assert "1 of 2 videos have no ground truth but where objects" in caplog.text


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("JPEGImages/b/00010.jpg", r"JPEGImages/b/00010.jpg is missing, which meta.json lists"),
        ("Annotations/b/00005.png", r"00005.png is missing, in which .* object 3 of video 'b'"),
    ],
)
def test_what_is_missing_is_named(root, lost, message):
    (root / "valid" / lost).unlink()
    with pytest.raises(SourceError, match=message):
        YoutubeVosBenchmark(str(root)).check()


def test_meta_json_that_does_not_fit_is_refused(root):
    base = root / "valid"
    for objects, message in (
        ({"b": {"2": ("person", FRAMES)}}, "has no pixel of value 2"),
        ({"b": {"1": ("person", [])}}, "object 1 of video 'b' has no category or no frames"),
        ({"b": {"1": ("person", ["../x"])}}, "not a plain name"),
        ({"b": {"one": ("person", FRAMES)}}, "is not as YouTube-VOS has it"),
        ({"b": {}}, "lists no object"),
    ):
        write_meta(base, objects)
        with pytest.raises(SourceError, match=message):
            YoutubeVosBenchmark(str(root)).check()


def test_sixty_five_categories_are_trained_on():
    assert len(SEEN) == 65
