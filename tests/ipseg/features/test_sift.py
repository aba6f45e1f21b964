import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.features.sift import SiftGeometry


def coffee():
    image = data.coffee()
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, (278, 224), (201, 164), 12, 0, 360, 1.0, -1)
    return image, mask


def compared(extractor, image, bank, grid):
    return extractor.compare([image], bank, [grid])[0]


@pytest.fixture(scope="module")
def extractor():
    return SiftGeometry()


@pytest.fixture(scope="module")
def entry(extractor):
    return extractor.prompt_features(*coffee())


def grid_mask(mask, grid):
    return cv2.resize(mask, (grid[1], grid[0]), interpolation=cv2.INTER_AREA) > 0.5


def transformed(scale, degrees, mirrored, size):
    image, mask = coffee()
    if mirrored:
        image, mask = image[:, ::-1], mask[:, ::-1]
    motion = cv2.getRotationMatrix2D((300, 200), degrees, scale)
    motion[:, 2] += np.array(size) / 2 - (300, 200)
    field = cv2.resize(data.grass(), size)
    moved = cv2.warpAffine(np.ascontiguousarray(image), motion, size)
    inside = cv2.warpAffine(np.ascontiguousarray(mask), motion, size)
    return np.where(inside[..., None] > 0.5, moved, field[..., None]).astype(np.uint8), inside


@pytest.mark.parametrize(
    ("scale", "degrees", "mirrored"),
    [(1.0, 0, False), (0.6, 35, False), (0.7, 180, False), (1.0, 0, True), (0.6, -50, True)],
)
def test_the_transformed_object_is_found(extractor, entry, scale, degrees, mirrored):
    image, inside = transformed(scale, degrees, mirrored, (600, 450))
    grid = (45, 60)
    found = compared(extractor, image, [entry], grid)
    assert found.presence[0] > 0.9
    truth, answer = grid_mask(inside, grid), found.maps[0] > 0.5
    assert (truth & answer).sum() / (truth | answer).sum() > 0.85


def test_two_copies_are_both_found(extractor, entry):
    one, _ = transformed(0.6, 0, False, (360, 300))
    pair = np.concatenate([one, one[:, ::-1]], axis=1)
    maps = compared(extractor, pair, [entry], (25, 60)).maps
    assert maps[0][:, 5:25].max() > 0.5
    assert maps[0][:, 35:55].max() > 0.5


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "rocket", "camera", "grass", "page"])
def test_unrelated_photos_get_a_zero_map_and_little_presence(extractor, entry, name):
    image = getattr(data, name)()
    image = image if image.ndim == 3 else np.dstack([image] * 3)
    found = compared(extractor, image, [entry], (30, 40))
    assert found.presence[0] < 0.3
    assert found.maps.max() < 0.3


def test_any_of_several_prompts_is_found(extractor, entry):
    rocket = data.rocket()
    other = extractor.prompt_features(rocket, np.ones(rocket.shape[:2], np.float32))
    merged = extractor.merge([other, entry])
    for image in (rocket, data.coffee()):
        assert compared(extractor, image, [merged], (40, 60)).presence[0] > 0.9


def test_entries_are_small_and_results_reproducible(extractor, entry):
    again = extractor.prompt_features(*coffee())
    assert sum(array.nbytes for array in entry.values()) < 64_000
    assert all(np.array_equal(entry[name], again[name]) for name in entry)
    image, _ = transformed(0.7, 20, False, (400, 300))
    first = compared(extractor, image, [entry], (30, 40))
    second = compared(extractor, image.copy(), [entry, entry], (30, 40))
    assert np.array_equal(first.maps[0], second.maps[1])


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (40, 2000), (60, 80)])
def test_images_without_keypoints_are_not_an_error(extractor, entry, shape):
    blank = np.full((*shape, 3), 90, np.uint8)
    nothing = extractor.prompt_features(blank, np.ones(shape, np.float32))
    found = compared(extractor, blank, [entry, nothing], (2, 3))
    assert not found.maps.any()
    assert not found.presence.any()
    assert compared(extractor, data.coffee(), [nothing], (2, 3)).presence[0] == 0


def test_verification_leaves_out_what_is_hidden_and_what_the_prompt_shows_too_much(extractor):
    photo, mask = coffee()
    generous = cv2.dilate(mask, np.ones((91, 91), np.uint8))  # saliency took in the table
    entry = extractor.prompt_features(photo, generous)
    image, inside = transformed(0.8, 20, False, (600, 450))
    image[:, 330:400] = (20, 200, 40)
    inside[:, 330:400] = 0
    overlaps = []
    for each in (extractor, extractor.for_many(4)):
        found = compared(each, image, [entry], (45, 60)).placements[0]
        best = found[found.max(axis=(1, 2)).argmax()]
        truth, answer = grid_mask(inside, best.shape), best > best.max() / 2
        overlaps.append((truth & answer).sum() / (truth | answer).sum())
    assert overlaps[0] < 0.7
    assert overlaps[1] > 0.85


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "rocket", "camera", "grass", "page"])
def test_verification_does_not_find_more_in_unrelated_photos(extractor, entry, name):
    image = getattr(data, name)()
    image = image if image.ndim == 3 else np.dstack([image] * 3)
    assert compared(extractor.for_many(4), image, [entry], (30, 40)).presence[0] < 0.45
