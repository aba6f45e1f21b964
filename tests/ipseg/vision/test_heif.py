"""HEIC photos are read as any other where pillow-heif is there."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image as PillowImage

from ipseg.errors import ImageError
from ipseg.vision.heif import heif_hint
from ipseg.vision.images import decode
from pipeline.sources.source import list_source

pytest.importorskip("pillow_heif")

PHOTO = skimage.data.astronaut()[:200]


@pytest.fixture(scope="module")
def heic(tmp_path_factory):
    file = tmp_path_factory.mktemp("heic") / "IMG_0001.HEIC"
    PillowImage.fromarray(PHOTO).save(file, "HEIF", quality=95)
    return file


def test_a_photo_is_decoded(heic):
    image = decode(heic.read_bytes())
    assert image.shape == PHOTO.shape
    smooth = (cv2.blur(each, (5, 5)).astype(int) for each in (image, PHOTO))
    assert np.abs(np.subtract(*smooth)).mean() < 3


def test_a_damaged_file_is_refused(heic):
    data = heic.read_bytes()
    for end in (30, len(data) // 2, len(data) - 20):
        with pytest.raises(ImageError, match=r"HEIF (header|data) is damaged or truncated"):
            decode(data[:end])


def test_it_counts_as_an_image_of_a_source(heic, tmp_path):
    with list_source(str(heic.parent), str(tmp_path)) as listed:
        assert (listed.kind, listed.rows, listed.ignored) == ("images", 1, {})
    assert heif_hint([".heic"]) == ""
