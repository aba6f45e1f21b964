import cv2
import numpy as np
import pytest
from skimage import data

from ipseg.features.classical import ClassicalDescriptors, cell_descriptors


def coffee():
    image = data.coffee()
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, (278, 224), (201, 164), 12, 0, 360, 1.0, -1)
    return image, mask


def compared(extractor, image, bank, grid):
    return extractor.compare([image], bank, [grid])[0]


@pytest.fixture(scope="module")
def extractor():
    return ClassicalDescriptors()


@pytest.fixture(scope="module")
def entry(extractor):
    return extractor.prompt_features(*coffee())


def test_the_object_is_more_similar_than_the_rest(extractor, entry):
    image, mask = coffee()
    scores = compared(extractor, image[:, ::-1], [entry], (40, 60)).maps[0]
    inside = cv2.resize(mask[:, ::-1], (60, 40), interpolation=cv2.INTER_AREA) > 0.5
    assert scores[inside].mean() > scores[~inside].mean() + 1


def test_maps_are_standard_scores(extractor, entry):
    scores = compared(extractor, data.astronaut(), [entry, entry], (60, 60)).maps
    np.testing.assert_allclose(scores.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scores.std(axis=(1, 2)), 1, atol=1e-5)
    assert np.array_equal(scores[0], scores[1])


def test_joint_standardisation_removes_scale_and_offset_of_channels(monkeypatch, extractor):
    image, mask = coffee()
    other = data.rocket()
    before = compared(extractor, other, [extractor.prompt_features(image, mask)], (40, 60)).maps
    random = np.random.default_rng(0)
    gain, offset = random.uniform(0.5, 2, 42), random.uniform(-1, 1, 42)
    monkeypatch.setattr(
        "ipseg.features.classical.cell_descriptors",
        lambda work, grid: (cell_descriptors(work, grid) * gain + offset).astype(np.float32),
    )
    after = compared(
        extractor, other.copy(), [extractor.prompt_features(image, mask)], (40, 60)
    ).maps
    np.testing.assert_allclose(before, after, atol=2e-2)


def test_presence_prefers_the_object_and_stays_below_one_half(extractor, entry):
    images = [data.coffee()[:, ::-1], data.rocket(), np.dstack([data.camera()] * 3)]
    presence = [compared(extractor, p, [entry], (40, 60)).presence[0] for p in images]
    assert presence[0] == max(presence)
    assert presence[0] <= 0.5
    assert min(presence) < 0.25


def test_merged_views_are_the_mean(extractor, entry):
    astronaut = data.astronaut()
    other = extractor.prompt_features(astronaut, np.ones(astronaut.shape[:2], np.float32))
    merged = extractor.merge([entry, other])
    np.testing.assert_allclose(merged["object"], (entry["object"] + other["object"]) / 2)


@pytest.mark.parametrize("shape", [(60, 90), (16, 16), (1, 1), (40, 2000)])
def test_blank_images_give_zero_maps(extractor, entry, shape):
    blank = np.full((*shape, 3), 90, np.uint8)
    alone = extractor.prompt_features(blank, np.zeros(shape, np.float32))
    found = compared(extractor, blank, [entry, alone], (3, 7))
    assert np.isfinite(found.maps).all()
    assert np.abs(found.maps).max() < 10
    assert ((found.presence >= 0) & (found.presence <= 0.5)).all()


def test_an_image_is_described_once_for_all_that_look_at_it(monkeypatch, extractor, entry):
    described = []
    monkeypatch.setattr(
        "ipseg.features.classical.cell_descriptors",
        lambda work, grid: described.append(grid) or cell_descriptors(work, grid),
    )
    images = [data.rocket(), data.astronaut()]
    grids = [(40, 60), (60, 60)]
    first = extractor.compare(images, [entry], grids)
    second = extractor.compare(images, [entry, entry], grids)
    assert described == grids
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.maps[0], other.maps[1])
    extractor.compare(images, [entry], [(20, 30), (60, 60)])
    assert described == [*grids, (20, 30), (60, 60)], "another grid is another description"
