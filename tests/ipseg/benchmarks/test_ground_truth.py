"""Ground truth by address, and how it lies on its image."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from ipseg.benchmarks.ground_truth import (
    LabelMaps,
    file_of,
    ground_truth_at,
    read_ground_truth,
    read_label_map,
    rle_address,
)
from ipseg.errors import SourceError
from ipseg.vision.masks import encode_rle
from ipseg.vision.orientation import turn, turn_back

MASK = np.zeros((20, 30), bool)
MASK[2:9, 3:15] = True
SQUARE = MASK[:, :20]
ORIENTATIONS = range(2, 9)


@pytest.fixture
def saved(tmp_path):
    def save(pixels, name="a.png", kind="PNG"):
        image = pixels if isinstance(pixels, PillowImage.Image) else PillowImage.fromarray(pixels)
        image.save(tmp_path / name, kind)
        return f"{tmp_path}/{name}"

    return save


@pytest.mark.parametrize("form", ["#object", "#label=1", "#above=127"])
def test_every_form_reads_the_same_file_and_names_it_when_it_cannot(saved, tmp_path, form):
    good = PillowImage.fromarray((MASK * 255).astype(np.uint8))
    if form == "#label=1":
        good = PillowImage.fromarray(MASK.astype(np.uint8))
    np.testing.assert_array_equal(read_ground_truth(saved(good) + form).mask, MASK)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    bad = ["text.png", "cut.png"]
    if form != "#above=127":
        saved(good.convert("L"), "lossy.png", "JPEG")
        bad.append("lossy.png")
    for name in bad:
        with pytest.raises(SourceError, match=f"{tmp_path}/{name} cannot be used as a mask"):
            read_ground_truth(f"{tmp_path}/{name}{form}")
    with pytest.raises(FileNotFoundError):
        read_ground_truth(f"{tmp_path}/none.png{form}")


def test_a_label_map_that_is_missing_or_no_map_is_named(saved, tmp_path):
    with pytest.raises(SourceError, match=r"label map .*none.png is missing"):
        read_label_map(f"{tmp_path}/none.png")
    with pytest.raises(SourceError, match=r"a.png cannot be used as a mask: .* not a label map"):
        read_label_map(saved(PillowImage.new("RGB", (9, 9))))


def test_values_beyond_the_class_list_are_refused(saved):
    labels = np.array([[0, 80, 255], [1, 2, 3]], np.uint8)
    where = f"{saved(labels)}#label=2&ignore=255&up_to=80"
    truth = read_ground_truth(where)
    assert truth.mask.sum() == 1
    assert truth.ignore.sum() == 1
    labels[0, 0] = 81
    saved(labels)
    with pytest.raises(SourceError, match=r"a.png contains the value 81, but labels are 0 to 80"):
        read_ground_truth(where)


def test_a_label_map_is_read_once_for_a_row_and_again_for_the_next(saved):
    maps = LabelMaps()
    where = f"{saved(MASK.astype(np.uint8))}#label=1"
    assert maps.read(where).mask.sum() == MASK.sum()
    saved(MASK.astype(np.uint8) * 2)
    assert maps.read(where).mask.sum() == MASK.sum()
    assert not LabelMaps().read(where).mask.any(), "nothing outlives the row"


@given(
    st.text(max_size=40)
    | st.recursive(
        st.none() | st.floats() | st.integers() | st.text(max_size=5),
        lambda below: (
            st.lists(below, max_size=3)
            | st.dictionaries(st.sampled_from(["size", "counts"]), below, max_size=2)
        ),
        max_leaves=6,
    ).map(json.dumps)
)
def test_no_address_of_run_lengths_ends_in_another_error(text):
    try:
        mask = read_ground_truth(f"rle:{text}").mask
    except SourceError:
        return
    assert mask.ndim == 2


def test_run_lengths_allocate_no_more_than_is_allowed():
    address = 'rle:{"size":[40000,40000],"counts":"0"}'
    with pytest.raises(SourceError, match="beyond 200,000,000 pixels"):
        read_ground_truth(address)


def test_the_file_of_an_address():
    assert file_of("s3://b/a#1.png#label=1&ignore=255&up_to=20") == "s3://b/a#1.png"
    assert file_of("x/a.png#object") == "x/a.png"
    assert file_of(rle_address(encode_rle(MASK))) is None
    assert file_of("") is None


def at(stored_or_upright, orientation, rule="auto", size=(30, 20)):
    return ground_truth_at(
        rle_address(encode_rle(stored_or_upright)), size, None, orientation, rule
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("rule", ["upright", "stored"])
def test_a_mask_lies_on_its_image_as_the_setting_says(orientation, rule):
    drawn = MASK if rule == "upright" else np.ascontiguousarray(turn_back(MASK, orientation))
    truth = at(drawn, orientation, rule)
    np.testing.assert_array_equal(truth.mask, MASK)
    assert truth.turned == (rule == "stored")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_by_its_size_a_mask_shows_whether_it_is_of_stored_pixels(orientation):
    np.testing.assert_array_equal(at(MASK, orientation).mask, MASK)
    assert not at(MASK, orientation).turned
    stored = at(np.ascontiguousarray(turn_back(MASK, orientation)), orientation)
    np.testing.assert_array_equal(stored.mask, MASK)
    assert stored.turned
    for mask, rule in ((MASK, "stored"), (np.ascontiguousarray(MASK.T), "upright")):
        with pytest.raises(SourceError, match=f"EXIF orientation {orientation}, masks: {rule}"):
            at(mask, orientation, rule)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_where_both_ways_fit_nothing_is_guessed(orientation):
    with pytest.raises(SourceError, match=r"--set images.mask_orientation=upright or =stored"):
        at(SQUARE, orientation, size=(20, 20))
    if orientation < 5:
        with pytest.raises(SourceError, match="EXIF orientation"):
            at(MASK, orientation)
    for same in (np.zeros((20, 20), bool), np.ones((20, 20), bool)):
        assert np.array_equal(at(same, orientation, size=(20, 20)).mask, same), "either way"


def test_an_image_that_is_not_turned_needs_no_setting():
    for rule in ("auto", "upright", "stored"):
        assert not at(SQUARE, 1, rule, (20, 20)).turned


def test_a_part_is_cut_from_the_stored_pixels():
    whole = np.zeros((50, 60), bool)
    whole[15:25, 20:30] = True
    crop = [18, 14, 33, 27]
    truth = ground_truth_at(rle_address(encode_rle(whole)), (13, 15), crop, 6)
    np.testing.assert_array_equal(truth.mask, turn(whole[14:27, 18:33], 6))


def test_pixels_that_are_not_evaluated_are_turned_too(saved):
    labels = np.where(turn_back(MASK, 6), 1, 0).astype(np.uint8)
    labels[0] = 255
    truth = ground_truth_at(f"{saved(labels)}#label=1&ignore=255", (30, 20), None, 6)
    np.testing.assert_array_equal(truth.ignore, turn(labels == 255, 6))


def test_a_mask_with_exif_of_its_own_is_upright_by_reading_it(tmp_path):
    tags = PillowImage.Exif()
    tags[0x0112] = 6
    buffer = io.BytesIO()
    stored = np.ascontiguousarray(turn_back(MASK, 6))
    PillowImage.fromarray(stored).save(buffer, "PNG", exif=tags)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    truth = ground_truth_at(f"{tmp_path}/a.png#object", (30, 20), None, 6)
    np.testing.assert_array_equal(truth.mask, MASK)
    assert not truth.turned
