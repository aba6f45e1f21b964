"""The demo collection: reproducible, consistent with its masks, and hard for baselines."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.demo import scenes
from jobs.demo.baselines import baseline_ious, baseline_masks, centre_ellipse, whole_frame
from jobs.demo.collection import KINDS, SCHEMA, Collection, write_collection
from jobs.demo.photos import backgrounds, concepts, empty_parts, fill
from jobs.demo.scenes import Placement, Scene, Unsuitable

IMAGES = 20


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return write_collection(tmp_path_factory.mktemp("demo") / "new", seed=3, images=IMAGES)


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes(collection: Collection, tmp_path: Path):
    again = write_collection(tmp_path, seed=3, images=IMAGES)
    assert fingerprint(tmp_path) == fingerprint(collection.folder)
    assert again.records == collection.records


def test_another_seed_gives_other_images(collection: Collection, tmp_path: Path):
    other = write_collection(tmp_path, seed=4, images=3)
    assert fingerprint(tmp_path) != fingerprint(collection.folder)
    assert len(other.records) == 3


def test_an_earlier_collection_is_replaced(tmp_path: Path):
    write_collection(tmp_path / "a", seed=1, images=18)
    again = write_collection(tmp_path / "a", seed=2, images=2)
    write_collection(tmp_path / "b", seed=2, images=2)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert len(list(again.examples())) == 2


def test_layout(collection: Collection):
    shards = sorted(collection.images.iterdir())
    assert len(shards) == 2
    tables = [pq.read_table(shard) for shard in shards]
    assert all(table.schema.equals(SCHEMA) for table in tables)
    keys = [key for table in tables for key in table["key"].to_pylist()]
    assert keys == [record.key for record in collection.records]
    assert len(set(keys)) == IMAGES
    assert {path.stem for path in collection.prompts.glob("*.jpg")} == set(collection.concepts)
    content = json.loads((collection.folder / "collection.json").read_text())
    assert [row["key"] for row in content["images"]] == keys
    assert set(content["concepts"]) == set(collection.concepts)
    masks = {(p.parent.name, p.stem) for p in collection.masks.rglob("*.png")}
    assert masks == {(c, p.key) for p in collection.records for c in p.concepts}


def test_kinds_are_balanced(collection: Collection):
    kinds = Counter(record.kind for record in collection.records)
    assert set(kinds) == set(KINDS)
    assert kinds["none"] == kinds["several"] == IMAGES // 5
    present = Counter(concept for record in collection.records for concept in record.concepts)
    assert set(present) == set(collection.concepts)
    for record in collection.records:
        counts = {"none": (0,), "several": (2, 3)}.get(record.kind, (1,))
        assert len(record.concepts) in counts


def test_images_and_masks_fit(collection: Collection):
    seen = 0
    for record, image, masks in collection.examples():
        seen += 1
        assert image.shape == (record.height, record.width, 3)
        assert scenes.SMALLEST <= max(image.shape) <= scenes.LARGEST
        assert image.std() > 2, f"{record.key} is blank"
        total = np.zeros(image.shape[:2], int)
        for mask in masks.values():
            assert mask.shape == image.shape[:2]
            # Resizing a finished image may move the share a little over the limit.
            assert scenes.LEAST_SHARE * 0.95 <= mask.mean() <= scenes.MOST_SHARE * 1.01
            total += mask
        assert total.max() <= 1, "one pixel belongs to one object"
    assert seen == IMAGES


def test_masks_on_disk_are_black_and_white(collection: Collection):
    for path in collection.masks.rglob("*.png"):
        with PIL.Image.open(path) as image:
            assert image.mode == "L"
            assert set(np.unique(np.asarray(image))) <= {0, 255}


def test_no_prompt_photo_is_in_the_collection(collection: Collection):
    prompts = {
        path.stem: np.asarray(PIL.Image.open(path)) for path in collection.prompts.glob("*.jpg")
    }
    for record, image, _ in collection.examples():
        for prompt in prompts.values():
            small = [cv2.resize(x, (64, 64), interpolation=cv2.INTER_AREA) for x in (prompt, image)]
            difference = np.abs(small[0].astype(float) - small[1]).mean()
            assert difference > 4, f"{record.key} is a prompt photo"


def test_baselines_have_low_ious(collection: Collection):
    ious = baseline_ious((image, masks) for _, image, masks in collection.examples())
    assert set(ious) == {"all foreground", "centre ellipse"}
    assert all(0.1 < value < 0.45 for value in ious.values())


@pytest.mark.parametrize("name", sorted(concepts()))
def test_outlines_separate_object_and_surroundings(name: str):
    photo = concepts()[name]
    assert photo.alpha.shape == photo.image.shape[:2]
    inside = photo.alpha >= 0.5
    assert 0.01 < inside.mean() < 0.8
    left, top, right, bottom = photo.prompt
    kept = inside[top:bottom, left:right]
    assert kept.sum() == inside.sum(), "the prompt contains the whole object"
    # A line along the object has stronger edges than lines at a distance of 6 px.
    gradient = np.linalg.norm(np.gradient(photo.image.mean(axis=2)), axis=0)
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    distance -= cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    on_line = gradient[np.abs(distance) <= 1.5].mean()
    assert on_line > 1.2 * gradient[np.abs(np.abs(distance) - 6) <= 1].mean()


def test_backgrounds_are_colour_images():
    for image in (*backgrounds().values(), *empty_parts().values()):
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert min(image.shape[:2]) >= 100


@given(
    x=st.integers(0, 20), y=st.integers(0, 20), width=st.integers(2, 15), height=st.integers(2, 15)
)
@settings(max_examples=30, deadline=None)
def test_fill_covers_the_polygon(x: int, y: int, width: int, height: int):
    box = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    expected = np.zeros((40, 40), np.float32)
    expected[y : y + height, x : x + width] = 1
    np.testing.assert_array_equal(fill([box], (40, 40)), expected)


def test_fill_leaves_holes_open():
    outer = [(2, 2), (18, 2), (18, 18), (2, 18)]
    hole = [(6, 6), (10, 6), (10, 10), (6, 10)]
    alpha = fill([outer, hole], (20, 20))
    assert alpha.sum() == 16 * 16 - 4 * 4
    assert alpha[8, 8] == 0


@given(angle=st.floats(-45, 45), flip=st.booleans(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_masks_are_transformed_like_pixels(angle: float, flip: bool, seed: int):
    photo = concepts()["motorcycle"]
    painted = np.dstack([np.rint(photo.alpha * 255).astype(np.uint8)] * 3)
    size = (400, 300)
    place = scenes.framed(photo.image, size, np.random.default_rng(seed), angle=angle, flip=flip)
    alpha = place.apply(photo.alpha)
    np.testing.assert_allclose(place.apply(painted)[..., 0] / 255, alpha, atol=2 / 255)
    # A frame inside of the photo needs no border.
    inside = place.apply(np.ones(photo.alpha.shape, np.float32), cv2.BORDER_CONSTANT)
    assert inside[4:-4, 4:-4].min() > 0.99


def test_placement_without_change_is_exact():
    image = concepts()["cat"].image
    size = (image.shape[1], image.shape[0])
    middle = (size[0] / 2, size[1] / 2)
    np.testing.assert_array_equal(Placement.of(middle, middle, size, 1.0).apply(image), image)
    mirrored = Placement.of(middle, middle, size, 1.0, flip=True).apply(image)
    np.testing.assert_array_equal(mirrored, image[:, ::-1])


def test_pasted_objects_cover_earlier_ones():
    rng = np.random.default_rng(0)
    scene = Scene(np.zeros((300, 400, 3), np.uint8))
    for concept in ("cup", "cat"):
        for _ in range(100):
            try:
                photo = concepts()[concept]
                scene = scenes.paste(scene, concept, photo, rng, share=(0.1, 0.2), turn=20)
            except Unsuitable:
                continue
            break
    assert list(scene.masks) == ["cup", "cat"]
    assert not (scene.masks["cup"] & scene.masks["cat"]).any()
    everything = scene.masks["cup"] | scene.masks["cat"]
    around = cv2.dilate(everything.astype(np.uint8), np.ones((13, 13))) == 0
    assert scene.image[around].max() == 0


def test_objects_cropped_too_much_are_refused():
    photo = concepts()["cup"]
    corner = Placement.of((180.0, 60.0), (390.0, 290.0), (400, 300), 1.0)
    with pytest.raises(Unsuitable, match="cup"):
        scenes.framed_scene("cup", photo, corner)


@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_baseline_shapes(height: int, width: int):
    assert whole_frame((height, width)).all()
    ellipse = centre_ellipse((height, width))
    assert ellipse.shape == (height, width)
    np.testing.assert_array_equal(ellipse, ellipse[::-1, ::-1])


def test_centre_ellipse_covers_pi_eighths():
    assert centre_ellipse((600, 900)).mean() == pytest.approx(np.pi / 8, abs=1e-3)


def test_baseline_mean_over_pairs():
    class Bright:
        def isolate(self, image: np.ndarray) -> np.ndarray:
            return (image[..., 0] > 128).astype(np.float32)

    image = np.zeros((10, 10, 3), np.uint8)
    image[:5] = 255
    top, quarter = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    top[:5], quarter[:5, :5] = True, True
    examples = [(image, {"a": top}), (image, {"a": quarter, "b": top}), (image, {})]
    result = baseline_ious(examples, Bright())
    assert result["saliency of the image"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert result["all foreground"] == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert set(baseline_masks(image)) == {"all foreground", "centre ellipse"}
    assert baseline_ious([(image, {})], Bright()) == {}


def test_relight_keeps_size_and_is_repeatable():
    image = backgrounds()["grass"]
    first, second = (scenes.relight(image, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == image.shape
