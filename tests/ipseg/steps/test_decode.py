"""From addresses to pixels."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.rows import check_chain
from ipseg.runner import run_step
from ipseg.steps.decode import Decode, OpenFrames, Read
from ipseg.vision.images import ImageLimits, encode_png
from ipseg.vision.orientation import turn, turn_back

HEIGHT, WIDTH = 20, 30
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
PNG = encode_png(PIXELS)


def test_an_image_that_a_row_carries_is_not_read_again(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    rows = [
        {"key": "a", "uri": str(tmp_path / "a.png")},
        {"key": "b", "uri": str(tmp_path / "gone.png"), "image_bytes": b"there already"},
        {"key": "c", "uri": str(tmp_path / "gone.png"), "image_bytes": None},
    ]
    read = run_step(Read(), rows)
    assert [row.get("image_bytes") for row in read] == [PNG, b"there already", None]
    assert [row.get("error_stage") for row in read] == [None, None, "read"]


def test_pixels_and_their_size_come_out():
    (row,) = Decode()([{"image_bytes": PNG}])
    assert np.array_equal(row["image"], PIXELS)
    assert (row["width"], row["height"]) == (WIDTH, HEIGHT)


def turned_png(orientation):
    tags = PillowImage.Exif()
    tags[0x0112] = orientation
    buffer = io.BytesIO()
    PillowImage.fromarray(PIXELS).save(buffer, "PNG", exif=tags)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_the_file_goes_with_its_pixels(orientation):
    (row,) = Decode()([{"image_bytes": turned_png(orientation)}])
    assert row["orientation"] == orientation
    size = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    assert (row["width"], row["height"]) == size
    np.testing.assert_array_equal(turn_back(row["image"], orientation), PIXELS)
    np.testing.assert_array_equal(row["image"], turn(PIXELS, orientation))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_crop_is_of_the_stored_pixels(orientation):
    (row,) = Decode()([{"image_bytes": turned_png(orientation), "crop": [2, 5, 20, 9]}])
    np.testing.assert_array_equal(row["image"], turn(PIXELS[5:9, 2:20], orientation))
    assert (row["height"], row["width"]) == row["image"].shape[:2]


@given(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.data())
def test_of_a_crop_only_what_is_in_it(x0, y0, data):
    x1, y1 = data.draw(st.integers(x0 + 1, WIDTH)), data.draw(st.integers(y0 + 1, HEIGHT))
    (row,) = Decode()([{"image_bytes": PNG, "crop": [x0, y0, x1, y1]}])
    assert np.array_equal(row["image"], PIXELS[y0:y1, x0:x1])
    assert row["image"].flags.c_contiguous
    assert (row["width"], row["height"]) == (x1 - x0, y1 - y0)


@pytest.mark.parametrize("crop", [[5, 5, 5, 9], [WIDTH, 0, WIDTH + 9, 9], [0, HEIGHT, 9, 99]])
def test_a_crop_without_a_pixel_is_refused(crop):
    with pytest.raises(ImageError, match=f"crop {','.join(map(str, crop))} holds no pixel"):
        Decode()([{"image_bytes": PNG, "crop": crop}])


def test_sizes_that_are_not_accepted_fail_their_row_alone():
    small = encode_png(PIXELS[:9])
    rows = run_step(Decode(ImageLimits(min_side=10)), [{"image_bytes": b} for b in (PNG, small)])
    assert [row.get("error_type") for row in rows] == [None, "ImageError"]


@pytest.fixture
def sequence(tmp_path):
    uris = []
    for number in range(3):
        uris.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(encode_png(PIXELS + np.uint8(number)))
    return uris


def test_frames_are_decoded_when_they_are_asked_for(sequence, tmp_path):
    (row,) = OpenFrames()([{"frame_uris": sequence}])
    frames = row["frames"]
    assert (len(frames), row["width"], row["height"]) == (3, WIDTH, HEIGHT)
    for number, frame in enumerate(frames):
        assert np.array_equal(frame, PIXELS + np.uint8(number))
    (tmp_path / "1.png").write_bytes(encode_png(PIXELS[:, ::-1].copy()))
    assert np.array_equal(frames[1], PIXELS[:, ::-1]), "nothing is kept"
    (tmp_path / "2.png").unlink()
    with pytest.raises(ImageError, match=r"frame 3 of 3, .*2\.png: .*No such file"):
        frames[2]


def test_a_sequence_whose_first_frame_is_no_image_fails(sequence, tmp_path):
    (tmp_path / "0.png").write_text("text")
    other = {"frame_uris": sequence[1:]}
    rows = run_step(OpenFrames(), [{"frame_uris": sequence}, other, {"frame_uris": []}])
    assert [row.get("error_stage") for row in rows] == ["frames", None, "frames"]


def test_the_heads_of_chains_fit_together():
    check_chain([Read(), Decode()], ["uri"])
    check_chain([OpenFrames()], ["frame_uris"])
