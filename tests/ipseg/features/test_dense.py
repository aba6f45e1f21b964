"""Dense extractors, with plain colour statistics of the canvas as features."""

import pickle
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ipseg.errors import PromptError
from ipseg.features.dense import DenseExtractor
from ipseg.features.similarity import cosine_similarity
from ipseg.methods.ipseg.matching import Matching
from ipseg.networks.models import Models
from ipseg.vision.letterbox import letterbox, mask_on_cells, source_cells

CPU = Models(device="cpu")
GRID = (60, 60)


@dataclass(kw_only=True)
class Colours(DenseExtractor):
    """Mean colour of each cell at two sizes; `seen` counts the encoded images."""

    fine: float = 0.5
    coarse: float = 0.25
    seen: int = field(init=False, default=0)

    @property
    def layer_weights(self):
        return {"coarse": self.coarse, "fine": self.fine}

    def features(self, images):
        self.seen += len(images)
        return [
            {"fine": self.grid(image, 60), "coarse": self.grid(image, 15), "unused": None}
            for image in images
        ]

    def grid(self, image, n):
        canvas = letterbox(image, 120).astype(np.float32) / 255 - 0.4
        cells = cv2.resize(canvas, (n, n), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(cells).permute(2, 0, 1)


def ready(extractor):
    extractor.setup(CPU)
    return extractor


@pytest.fixture(scope="module")
def masks(photos):
    found = {}
    for name, (x, y, rx, ry) in {"cup": (150, 110, 60, 50), "cat": (150, 110, 90, 70)}.items():
        canvas = np.zeros(photos[name].shape[:2], np.uint8)
        cv2.ellipse(canvas, (x, y), (rx, ry), 0, 0, 360, 255, -1)
        found[name] = canvas.astype(np.float32) / 255
    return found


@pytest.fixture(scope="module")
def bank(photos, masks):
    extractor = ready(Colours())
    return [extractor.prompt_features(photos[name], masks[name]) for name in masks]


def restated(extractor, image, entry):
    """Cells first, cosines next, all in float64: (60, 60)."""
    total = np.zeros(GRID)
    layers = extractor.features([image])[0]
    for name, weight in extractor.layer_weights.items():
        rows, columns = source_cells(image.shape[1], image.shape[0], layers[name].shape[-1], 60)
        cells = layers[name].numpy().astype(np.float64)[:, rows][:, :, columns]
        lengths = np.linalg.norm(cells, axis=0)
        scores = np.einsum("chw,c->hw", cells, entry[name].astype(np.float64))
        total += weight * scores / np.maximum(lengths, 1e-12)
    return total


def test_a_map_is_the_weighted_sum_of_cosines(photos, bank):
    extractor = ready(Colours())
    for entry in bank:
        assert list(entry) == ["coarse", "fine"]
        for vector in entry.values():
            assert vector.dtype == np.float32
            assert abs(np.linalg.norm(vector) - 1) < 1e-6
    for image in (photos["cat"], np.rot90(photos["rocket"]).copy()):
        found = extractor.compare([image], bank, [GRID])[0]
        assert found.maps.dtype == found.presence.dtype == np.float32
        assert found.maps.shape == (2, *GRID)
        for scores, entry in zip(found.maps, bank, strict=True):
            np.testing.assert_allclose(scores, restated(extractor, image, entry), atol=2e-6)


def disc(width, height, x, y, radius):
    """A red disc on green, and its mask."""
    mask = cv2.circle(np.zeros((height, width), np.uint8), (x, y), radius, 1, -1)
    colours = np.array([[40, 160, 60], [200, 30, 20]], np.uint8)
    return colours[mask], mask.astype(np.float32)


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (400, 400), (900, 200)])
@pytest.mark.parametrize("fusion", ["sum", "concat"])
def test_a_map_covers_the_whole_image_and_nothing_else(size, fusion):
    extractor = ready(Colours(fusion=fusion))
    entry = extractor.prompt_features(*disc(512, 384, 200, 150, 90))
    image, truth = disc(*size, size[0] // 3, size[1] // 4, min(size) // 5)
    scores = extractor.compare([image], [entry], [GRID])[0].maps[0]
    found = scores > (scores.max() + scores.min()) / 2
    inside = cv2.resize(truth, GRID, interpolation=cv2.INTER_AREA) > 0.5
    assert (found & inside).sum() / (found | inside).sum() > 0.5
    # The centre of the disc in cells, which reveals a transposed band or one off by a cell.
    middle = np.argwhere(found).mean(axis=0)
    assert np.abs(middle - np.argwhere(inside).mean(axis=0)).max() < 2


@pytest.mark.parametrize("fusion", ["sum", "concat"])
def test_presence_is_one_for_the_same_and_zero_for_the_opposite(fusion):
    extractor = ready(Colours(fusion=fusion))
    bright, dark = (np.full((40, 40, 3), v, np.uint8) for v in (200, 30))
    entry = extractor.prompt_features(bright, np.ones((40, 40), np.float32))
    found = extractor.compare([bright, dark], [entry], [GRID, GRID])
    assert found[0].presence[0] == pytest.approx(1, abs=1e-6)
    assert found[1].presence[0] == 0
    assert found[1].maps.max() < 0


def test_images_are_encoded_once_and_concepts_are_independent(photos, bank):
    extractor = ready(Colours())
    images = list(photos.values())
    grids = [GRID, (40, 60), (45, 60)]
    together = extractor.compare(images, [*bank, *bank, bank[0]], grids)
    assert extractor.seen == len(images)
    for image, grid, several in zip(images, grids, together, strict=True):
        assert several.maps.shape == (5, *grid)
        for index, entry in enumerate([*bank, *bank, bank[0]]):
            alone = extractor.compare([image], [entry], [grid])[0]
            np.testing.assert_allclose(several.maps[index], alone.maps[0], atol=1e-6)
            np.testing.assert_allclose(several.presence[index], alone.presence[0], atol=1e-6)


def test_another_grid_takes_the_nearest_cells(photos, bank):
    extractor = ready(Colours())
    exact = extractor.compare([photos["cat"]], bank, [GRID])[0]
    halved = extractor.compare([photos["cat"]], bank, [(20, 60)])[0]
    np.testing.assert_array_equal(halved.maps, exact.maps[:, 1::3])
    np.testing.assert_array_equal(halved.presence, exact.presence)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 2), st.floats(0.01, 2), st.integers(0, 99))
def test_unit_parts_scaled_by_roots_of_weights_give_the_weighted_mean(first, second, seed):
    """So a sum of cosines is that of a concatenation, up to one factor for all cells."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(4, 5, c)) for c in (7, 3)]
    prompts = [rng.normal(size=c) for c in (7, 3)]
    scales = np.sqrt([first, second])
    cells = np.concatenate(
        [
            s * p / np.linalg.norm(p, axis=2, keepdims=True)
            for s, p in zip(scales, parts, strict=True)
        ],
        axis=2,
    )
    prompt = np.concatenate(
        [s * p / np.linalg.norm(p) for s, p in zip(scales, prompts, strict=True)]
    )
    joined = cosine_similarity(cells, (prompt / np.linalg.norm(prompt))[None])[0]
    summed = sum(
        weight * cosine_similarity(part, (p / np.linalg.norm(p))[None])[0]
        for weight, part, p in zip((first, second), parts, prompts, strict=True)
    )
    np.testing.assert_allclose(joined * (first + second), summed, atol=1e-6)


def test_concat_is_one_cosine_of_all_layers_of_all_extractors(photos, masks):
    extractors = [
        ready(Colours(weight=1, fusion="concat", erosion=False)),
        ready(Colours(weight=0.3, fine=0.1, coarse=0.7, fusion="concat", erosion=False)),
    ]
    prompt, image = photos["cup"], photos["cat"]

    def joined(image):
        parts = []
        for extractor in extractors:
            layers = extractor.features([image])[0]
            for name, weight in extractor.layer_weights.items():
                n = layers[name].shape[-1]
                rows, columns = source_cells(image.shape[1], image.shape[0], n, 60)
                cells = layers[name].numpy()[:, rows][:, :, columns].transpose(1, 2, 0)
                length = np.linalg.norm(cells, axis=2, keepdims=True)
                parts.append(np.sqrt(extractor.weight * weight) * cells / length)
        return np.concatenate(parts, axis=2)

    inside = mask_on_cells(masks["cup"], 60) > 0.5
    pooled = joined(prompt)[inside].mean(axis=0)
    cells = joined(image)
    expected = cells @ pooled / (np.linalg.norm(cells, axis=2) * np.linalg.norm(pooled))
    maps = [
        e.compare([image], [e.prompt_features(prompt, masks["cup"])], [GRID])[0].maps
        for e in extractors
    ]
    fused = Matching().fuse(maps, [e.weight for e in extractors], None)[0]
    factor = fused.sum() / expected.sum()
    assert factor > 0
    np.testing.assert_allclose(fused, factor * expected, atol=1e-5)


def test_soft_pooling_weights_cells_by_the_mask(photos, masks):
    image, mask = photos["cup"], np.clip(masks["cup"], 0.1, 0.8)
    extractor = ready(Colours(pooling="soft", erosion=False))
    layer = extractor.features([image])[0]["fine"].numpy()
    rows, columns = source_cells(image.shape[1], image.shape[0], 60, 60)
    weights = mask_on_cells(mask, 60)
    expected = (layer[:, rows][:, :, columns] * weights).sum(axis=(1, 2))
    found = extractor.prompt_features(image, mask)["fine"]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


@pytest.mark.parametrize("fusion", ["sum", "concat"])
def test_prompts_of_a_concept_have_equal_weights(photos, masks, fusion):
    extractor = ready(Colours(fusion=fusion))
    views = [extractor.prompt_features(photos[name], masks[name]) for name in masks]
    for name, vector in extractor.merge(views[:1]).items():
        np.testing.assert_allclose(vector, views[0][name], atol=1e-6)
    merged = extractor.merge(views)
    for name, vector in merged.items():
        assert vector.dtype == np.float32
        mean = (views[0][name] + views[1][name]) / 2
        length = np.linalg.norm(mean) if fusion == "sum" else 1
        np.testing.assert_allclose(vector, mean / length, atol=1e-6)


def test_an_empty_mask_is_refused(photos):
    with pytest.raises(PromptError, match="empty"):
        ready(Colours()).prompt_features(
            photos["cup"], np.zeros(photos["cup"].shape[:2], np.float32)
        )


def test_an_extractor_can_be_sent_to_a_worker():
    assert pickle.loads(pickle.dumps(Colours(fine=0.3))).fine == 0.3  # noqa: S301


def test_standardising_removes_what_all_cells_have_in_common(photos, masks):
    """Then a constant added to a channel, and its scale, change nothing."""

    @dataclass(kw_only=True)
    class Shifted(Colours):
        shift: float = 0.0
        scale: float = 1.0

        def features(self, images):
            return [
                {name: layer[name] * self.scale + self.shift for name in self.layer_weights}
                for layer in super().features(images)
            ]

    image = photos["cat"][:, ::-1].copy()
    found = []
    for shift, scale in ((0.0, 1.0), (3.0, 0.5)):
        extractor = ready(
            Shifted(shift=shift, scale=scale, standardise_channels=True, standardise_map=True)
        )
        entry = extractor.prompt_features(photos["cat"], masks["cat"])
        found.append(extractor.compare([image], [entry], [GRID])[0].maps[0])
    assert np.allclose(found[0], found[1], atol=1e-3)
    assert abs(found[0].mean()) < 1e-4
    assert abs(found[0].std() - 1) < 1e-3
