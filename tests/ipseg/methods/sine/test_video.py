"""Objects through a video: one pass of the encoder for a frame, a memory that does not grow."""

import gc
import re

import av
import cv2
import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ImageError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.methods.sine.pooling import Pooled
from ipseg.runner import prepare, run_local
from ipseg.steps.decode import open_frames
from ipseg.vision.images import ImageLimits, encode_png

SIZE = (60, 100)  # rows, columns
OBJECTS = {"blue": (40, 80, 230), "green": (40, 200, 60), "red": (220, 50, 40)}
LATE = 4  # frame in which "red" enters


def scene(frame, *, late=LATE, leaves=None):
    """An image, and the mask of each object that is there."""
    image = np.random.default_rng(7).integers(90, 130, (*SIZE, 3)).astype(np.uint8)
    masks = {}
    for number, (name, colour) in enumerate(OBJECTS.items()):
        if (name == "red" and frame < late) or (name == "green" and leaves == frame):
            continue
        mask = np.zeros(SIZE, np.uint8)
        centre = (20 + 30 * number + frame % 12, 20 + 10 * number)
        cv2.circle(mask, centre, 9, 1, -1)
        image[mask > 0] = colour
        masks[name] = mask > 0
    return image, masks


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames."""
    folder = tmp_path_factory.mktemp("clip")
    for frame in range(12):
        (folder / f"{5 * frame:05}.png").write_bytes(encode_png(scene(frame)[0]))
    return sorted(map(str, folder.iterdir()))


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts")
    rows = []
    image, masks = scene(LATE)
    for name, mask in masks.items():
        (folder / f"{name}.png").write_bytes(encode_png(mask.astype(np.uint8) * 255))
        rows.append(
            {"key": name, "concept": name, "uri": name, "image_bytes": encode_png(image)}
            | {"given_mask": f"{folder}/{name}.png#object"}
        )
    return rows


@pytest.fixture(scope="module")
def config(tiny_root):
    def config(*overrides):
        fixed = [f"models.root={tiny_root}", "models.device=cpu", "canvas.side=112"]
        return load_config("sine-video", [*fixed, *overrides])

    return config


@pytest.fixture(scope="module")
def bank(config, prompts):
    steps = prompt_chains({"": config()}).steps
    prepare(steps)
    return PromptsInMemory(list(run_local(steps, prompts)), config().method.merge)


def row_of(clip, **starts):
    asks = [{"concept": name, "frame": frame} for name, frame in starts.items()]
    return {"key": "clip", "uri": clip[0], "frame_uris": clip} | ({"asks": asks} if asks else {})


def steps_of(config, bank):
    steps = image_chain({"": config}, {"": bank})
    prepare(steps)
    return steps


@pytest.fixture(scope="module")
def tracking(config, bank):
    """Overrides and a row -> its objects, and how many frames were encoded; each run once."""
    known = {}

    def tracking(row, *overrides):
        question = (repr(row), overrides)
        if question not in known:
            steps = steps_of(config(*overrides), bank)
            passes = []
            hook = steps[-1].network._encoder.register_forward_hook(
                lambda module, given, out: passes.append(len(given[0]))
            )
            (done,) = run_local(steps, [row])
            hook.remove()
            assert done.get("error_message") is None
            known[question] = (done["objects"], sum(passes))
        return known[question]

    return tracking


@pytest.fixture(scope="module")
def tracked(tracking):
    return lambda row, *overrides: tracking(row, *overrides)[0]


@pytest.fixture(scope="module")
def late(clip):
    """The third object is asked for from the fifth frame on."""
    return row_of(clip, blue=0, green=0, red=LATE)


def test_cached_and_encoded_again_are_the_same_to_the_bit(tracking, late):
    """With one pass of the encoder for a frame, whatever the objects."""
    (cached, passes), (again, many) = (
        tracking(late, f"memory.encode={how}") for how in ("cached", "again")
    )
    assert len(cached) > 12
    assert cached == again
    assert {o.frame for o in cached if o.concept == "red"} <= {*range(LATE, 12)}
    assert passes == 12
    assert many > 5 * 12


def test_frames_in_batches_are_the_same_frames(tracked, late):
    alone, five = (tracked(late, f"network.batch={n}") for n in (1, 5))
    assert [(o.concept, o.frame) for o in alone] == [(o.concept, o.frame) for o in five]
    assert [o.score for o in alone] == pytest.approx([o.score for o in five], abs=1e-4)


def test_memory_changes_what_is_found_later(tracked, clip):
    some, one, skipped = (
        {
            (o.concept, o.frame): o.score
            for o in tracked(row_of(clip), "asking.overlaps=keep", *more)
        }
        for more in ((), ("memory.frames=1",), ("memory.from_first=false",))
    )
    first = [place for place in some if place[1] == 0]
    assert first
    assert all(some[place] == one[place] for place in first), "there is only the example yet"
    assert any(abs(some[p] - one[p]) > 1e-4 for p in some.keys() & one.keys() if p[1] > 0)
    second = [place for place in some if place[1] == 1]
    assert all(skipped[place] == one[place] for place in second), "the first frame is not in it"


def test_numbers_of_files_make_scores_decay_faster(config, bank, clip):
    quick = ["asking.overlaps=keep", "memory.frames=3", "memory.decay=6"]
    steps = steps_of(config(*quick, "memory.unit=file_number"), bank)[-1]
    assert steps._numbers({**row_of(clip), "frames": clip})[:3] == [0, 5, 10]
    assert steps_of(config(*quick), bank)[-1]._numbers({"frames": clip})[:3] == [0, 1, 2]
    many = ["cam2_0001.jp2", "cam2_0010.jp2"]
    assert steps._numbers({"frame_uris": many, "frames": [None] * 2}) == [1, 10]
    for names, why in (
        (["a/first.png"], "a/first.png has no number in its name: set memory.unit=index"),
        (["a/1_f3.png", "a/2_f3.png"], "a/2_f3.png has number 3, but the frame before it has 3"),
    ):
        with pytest.raises(ImageError, match=re.escape(why)):
            steps._numbers({"frame_uris": names, "frames": [None] * len(names)})


def test_the_number_of_a_frame_of_a_video_file_is_its_index(config, bank, tmp_path):
    steps = steps_of(config("memory.unit=file_number"), bank)[-1]
    path = str(tmp_path / "clip.mkv")
    with av.open(path, "w") as video:
        stream = video.add_stream("mpeg4", rate=10)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in range(3):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(scene(frame)[0], format="rgb24")))
        video.mux(stream.encode(None))
    row = {"frame_uris": [path], "frames": open_frames([path], ImageLimits())}
    assert steps._numbers(row) == [0, 1, 2]


def test_the_last_object_is_the_one_that_is_asked_for_last(tracked, clip):
    kept = {(o.concept, o.frame): o.mask for o in tracked(row_of(clip), "asking.overlaps=keep")}
    for order in (("blue", "green", "red"), ("red", "blue", "green")):
        row = row_of(clip, **dict.fromkeys(order, 0))
        found = {(o.concept, o.frame): o.mask for o in tracked(row, "asking.overlaps=last")}
        whole = [place for place in kept if place[0] == order[-1]]
        assert whole
        assert all((found[place] == kept[place]).all() for place in whole if place[1] == 0)


def test_objects_share_no_pixel_unless_they_may(tracked, clip):
    for rule, disjoint in (("best", True), ("last", True), ("keep", False)):
        found = tracked(row_of(clip), f"asking.overlaps={rule}")
        sums = [np.sum([o.mask for o in found if o.frame == frame], axis=0) for frame in range(12)]
        assert (max(int(np.max(each)) for each in sums) == 1) == disjoint, rule


def test_apart_an_object_does_not_depend_on_others(tracked, clip):
    apart = ("asking.concepts=apart", "asking.overlaps=keep")
    everything = tracked(row_of(clip), *apart)
    blue = tracked(row_of(clip, blue=0), *apart)
    assert blue == [o for o in everything if o.concept == "blue"]


def test_an_object_that_leaves_can_be_taken_for_absent(tracked, clip):
    drawn = tracked(row_of(clip), "asking.overlaps=keep")
    presence = sorted(o.evidence["presence"] for o in drawn)
    least = presence[len(presence) // 2]
    kept = tracked(row_of(clip), "asking.overlaps=keep", f"identity.min_presence={least}")
    assert kept == [o for o in drawn if o.evidence["presence"] >= least]


def test_a_long_video_takes_no_more_memory_than_a_short_one(config, bank, clip):
    """Of 200 frames with three objects, one late, one leaving, few tensors live at any time."""
    step = steps_of(config(), bank)[-1]
    held = []

    class Frames(list):
        def __getitem__(self, index):
            if index % 50 == 49:
                gc.collect()
                held.append(sum(isinstance(each, Pooled) for each in gc.get_objects()))
            return scene(index, late=60, leaves=index if index > 120 else None)[0]

    frames = Frames(range(200))
    row = {"frames": frames, "asks": row_of(clip, blue=0, green=0, red=60)["asks"]}
    passes = []
    hook = step.network._encoder.register_forward_hook(lambda *_: passes.append(1))
    (done,) = step([row])
    hook.remove()
    assert len(passes) == 200
    assert len(held) == 4
    assert max(held) <= 3 * 6 + 6, "an example and five frames of each object"
    assert max(o.frame for o in done["objects"]) > 150
    assert min(o.frame for o in done["objects"] if o.concept == "red") >= 60
