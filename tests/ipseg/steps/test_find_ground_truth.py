"""The mask of an image is found by its key, and by nothing else."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.mask_names import MaskNames, mask_paths
from ipseg.errors import SourceError
from ipseg.steps.find_ground_truth import FindGroundTruth
from ipseg.vision.images import encode_png

MASK = encode_png(np.full((20, 30), 255, np.uint8))


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(MASK)
    return root


def found(root, key, *concepts, by_concept=True, **more):
    """Concept -> its mask below the root; None where it is absent."""
    numbers = {name: number for number, name in enumerate(concepts, start=1)}
    step = FindGroundTruth(f"{root}/", numbers, by_concept, MaskNames.in_folder(str(root)))
    (done,) = step([{"key": key, "width": 30, "height": 20, **more}])
    addresses = {ask["concept"]: ask["ground_truth"] for ask in done["asks"]}
    return {
        concept: None
        if address.startswith("rle:")
        else address.removeprefix(f"{root}/").removesuffix("#object")
        for concept, address in addresses.items()
    }


def test_by_concept_a_missing_mask_says_that_the_concept_is_absent(tmp_path):
    write(tmp_path, "cup/deep/a.png", "cat/other.png")
    assert found(tmp_path, "deep/a.jpg", "cat", "cup") == {"cat": None, "cup": "cup/deep/a.png"}


def test_flat_masks_and_an_image_without_ground_truth(tmp_path):
    write(tmp_path, "flat.png")
    assert found(tmp_path, "flat.jpeg", "cup", by_concept=False) == {"cup": "flat.png"}
    assert found(tmp_path, "unlabeled.jpg", "cup", by_concept=False) == {}


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        ("ball_jpg.rf.0a1b", "ball_jpg.rf.0a1b.png"),  # no suffix of images
        ("v1.2/photo", "v1.2/photo.png"),
        ("a.b.jpg", "a.b.png"),
        ("a.JPG", "a.png"),
        ("a.jpg", "a.PNG"),
        ("a.jpg", "a.Png"),
        ("a.jpg", "a.jpg.png"),
        ("a.jpg", "a.tif"),
        ("part-0.parquet#3", "part-0.parquet#3.png"),
        (unicodedata.normalize("NFC", "é/tür.jpg"), unicodedata.normalize("NFD", "é/tür.png")),
        (unicodedata.normalize("NFD", "é/tür.jpg"), unicodedata.normalize("NFC", "é/tür.png")),
    ],
)
def test_names_differ_in_spelling_only(tmp_path, key, mask):
    write(tmp_path, f"cup/{mask}", "cup/unrelated.png")
    assert found(tmp_path, key, "cup") == {"cup": f"cup/{mask}"}


@pytest.mark.parametrize("key", ["ball.rf.0a1b", "ball.rf.7c9d"])
def test_keys_that_differ_after_a_dot_do_not_share_a_mask(tmp_path, key):
    write(tmp_path, "cup/ball.rf.png", "cup/ball.png")
    assert found(tmp_path, key, "cup") == {"cup": None}


def test_the_most_literal_name_wins(tmp_path):
    write(tmp_path, "cup/a.jpg.png", "cup/a.png", "cup/a.tif")
    assert found(tmp_path, "a.jpg", "cup") == {"cup": "cup/a.jpg.png"}
    assert found(tmp_path, "a.bmp", "cup") == {"cup": "cup/a.png"}


def test_a_folder_named_like_the_concept_may_be_repeated_or_not(tmp_path):
    write(tmp_path, "cup/cup/a.png", "cup/b.png")
    places = [found(tmp_path, f"cup/{name}.jpg", "cup")["cup"] for name in "abc"]
    assert places == ["cup/cup/a.png", "cup/b.png", None]


def test_an_image_in_the_literal_place_keeps_its_mask_for_itself(tmp_path):
    masks = write(tmp_path / "masks", "cup/a.png")
    images = write(tmp_path / "images", "a.jpg", "cup/a.jpg", "cup/b.jpg")
    assert found(masks, "a.jpg", "cup", uri=f"{images}/a.jpg") == {"cup": "cup/a.png"}
    assert found(masks, "cup/a.jpg", "cup", uri=f"{images}/cup/a.jpg") == {"cup": None}
    write(masks, "cup/b.png")
    assert found(masks, "cup/b.jpg", "cup", uri=f"{images}/cup/b.jpg") == {"cup": "cup/b.png"}


def test_a_folder_without_masks_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match="there is no mask in"):
        MaskNames.in_folder(str(tmp_path))


def test_a_lossy_mask_is_found_so_that_it_is_refused_aloud(tmp_path):
    masks = write(tmp_path / "masks", "cup/a.png", "cup/b.jpg")
    assert found(masks, "b.webp", "cup") == {"cup": "cup/b.jpg"}
    assert found(masks, "a.jpg", "cup") == {"cup": "cup/a.png"}


def test_an_image_beside_the_masks_is_none_of_them(tmp_path):
    both = write(tmp_path / "both", "a.png", "a.jpg", "b.jpg")
    assert MaskNames.in_folder(str(both)).suffixes == (".png",)
    apart = write(tmp_path / "apart", "a.png", "b.jpg")
    step = FindGroundTruth(str(apart), {"cup": 1}, False, MaskNames.in_folder(str(apart)))
    assert step.find({"key": "b.jpg", "uri": f"{apart}/b.jpg"}, "cup") is None


@given(st.text())
def test_no_key_leaves_the_root(key):
    step = FindGroundTruth("root", {"cup": 1}, by_concept=True)
    try:
        paths = [path for each in step.places(key, "cup") for path in each]
    except SourceError:
        return
    assert all(path.startswith("root/cup") and "/../" not in path for path in paths)


@pytest.mark.parametrize("key", ["", "../x.jpg", "/etc/passwd", "a/../../x", "a\\..\\x", "a\0b"])
def test_keys_that_would_leave_the_root_are_refused(key):
    with pytest.raises(SourceError, match="cannot be used as a file name"):
        mask_paths("root", key)
