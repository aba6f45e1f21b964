"""A generated collection with ground truth, which the demo segments and is evaluated on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.prompts import MASK_SUFFIX
from ipseg.rows import Image, Mask
from ipseg.vision.images import decode, encode_jpeg, encode_png
from ipseg.vision.mask_files import read_mask
from jobs.demo.photos import backgrounds, concepts, empty_parts
from jobs.demo.scenes import (
    Scene,
    Unsuitable,
    degrade,
    draw_size,
    fitted,
    framed,
    framed_scene,
    paste,
    relight,
    side_by_side,
)

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema([("key", pa.string()), ("image", IMAGE_TYPE)])

# In these photos saliency selects a detail instead of the object, which `ipseg prompts` reveals. So
# these prompts come with a mask, as a user would provide; the others do not.
MASK_GIVEN = ("astronaut", "motorcycle")
_ROWS_PER_SHARD = 16
_TRIES = 400

# Range of the size of a pasted object, and largest rotation: rockets are thin and can have any
# direction, portraits are upright. All other objects use the first line.
_PASTE_SHARE, _PASTE_TURN = (0.08, 0.35), 30.0
_PASTE: dict[str, tuple[tuple[float, float], float]] = {
    "rocket": ((0.03, 0.12), 60.0),
    "astronaut": ((0.10, 0.40), 12.0),
}
_CLOSENESS: dict[str, tuple[float, float]] = {"rocket": (1.2, 2.6)}


@dataclass(frozen=True)
class ImageRecord:
    """One image of the collection.

    Attributes:
        key: its unique name.
        kind: how it was made, one of `KINDS`.
        concepts: concepts in it.
        width: pixels.
        height: pixels.
        seed: random seed of this image.
        shard: name of its Parquet file.
    """

    key: str
    kind: str
    concepts: list[str]
    width: int
    height: int
    seed: list[int]
    shard: str


@dataclass(frozen=True)
class Collection:
    """A written collection.

    Attributes:
        folder: its root.
        concepts: names, sorted.
        records: of its images, in the order of the shards.
    """

    folder: Path
    concepts: list[str]
    records: list[ImageRecord]

    @property
    def prompts(self) -> Path:
        """Folder of prompt photos, `<concept>.jpg`, some with `<concept>.mask.png` next to them."""
        return self.folder / "prompts"

    @property
    def images(self) -> Path:
        """Folder of Parquet shards with columns `key` and `image`."""
        return self.folder / "images"

    @property
    def masks(self) -> Path:
        """Folder of ground truth, `<concept>/<key>.png`; no file if the concept is absent."""
        return self.folder / "masks"

    def examples(self) -> Iterator[tuple[ImageRecord, Image, dict[str, Mask]]]:
        """Yields the record of each image, its pixels and the masks of the concepts in it."""
        records = {record.key: record for record in self.records}
        for shard in sorted(self.images.glob("*.parquet")):
            for row in pq.read_table(shard, schema=SCHEMA).to_pylist():
                record = records[row["key"]]
                files = {name: self.masks / name / f"{record.key}.png" for name in record.concepts}
                masks = {name: read_mask(file.read_bytes()) for name, file in files.items()}
                yield record, decode(row["image"]["bytes"]), masks


def write_collection(folder: Path, *, seed: int = 0, images: int = 60) -> Collection:
    """Generates and writes the collection; the same seed gives the same bytes.

    Args:
        folder: for `prompts/`, `images/`, `masks/` and `collection.json`; created if missing. An
            earlier collection in it is replaced.
        seed: of all random choices.
        images: number of images; a fifth contain none of the concepts, a fifth several.
    """
    photos = concepts()
    # An earlier collection can be larger: its remaining files would belong to this one.
    for old in (*folder.glob("images/part-*.parquet"), *folder.glob("masks/*/*.png")):
        old.unlink()
    (folder / "prompts").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    for concept, photo in photos.items():
        left, top, right, bottom = photo.prompt
        prompt = np.ascontiguousarray(photo.image[top:bottom, left:right])
        (folder / "prompts" / f"{concept}.jpg").write_bytes(encode_jpeg(prompt, quality=95))
        if concept in MASK_GIVEN:
            outline = photo.alpha[top:bottom, left:right] > 0.5
            (folder / "prompts" / f"{concept}{MASK_SUFFIX}").write_bytes(_png(outline))
        (folder / "masks" / concept).mkdir(parents=True, exist_ok=True)

    records = []
    # Shuffled, so that each shard contains all kinds.
    plan = np.random.default_rng([seed, images]).permutation(images).tolist()
    for start in range(0, images, _ROWS_PER_SHARD):
        shard = f"part-{start // _ROWS_PER_SHARD:05d}.parquet"
        rows = []
        for number in plan[start : start + _ROWS_PER_SHARD]:
            record, encoded, masks = _make(number, images, seed, shard)
            rows.append(
                {"key": record.key, "image": {"bytes": encoded, "path": f"{record.key}.jpg"}}
            )
            records.append(record)
            for concept, mask in masks.items():
                (folder / "masks" / concept / f"{record.key}.png").write_bytes(_png(mask))
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "images" / shard)

    collection = Collection(folder, sorted(photos), records)
    content = {
        "seed": seed,
        "concepts": {name: photos[name].note for name in collection.concepts},
        "images": [asdict(record) for record in records],
    }
    (folder / "collection.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return collection


def _png(mask: Mask) -> bytes:
    return encode_png(mask.astype(np.uint8) * 255)


def _make(
    number: int, images: int, seed: int, shard: str
) -> tuple[ImageRecord, bytes, dict[str, Mask]]:
    rounds, step = divmod(number, len(_CYCLE))
    kind = _CYCLE[step]
    rng = np.random.default_rng([seed, number])
    names = sorted(concepts())
    # Concepts take turns within a kind; others in the same image are drawn at random.
    turn = rounds * _CYCLE.count(kind) + _CYCLE[:step].count(kind) + list(KINDS).index(kind)
    first = names.pop(turn % len(names))
    order = [first, *(str(name) for name in rng.permutation(names))]
    for _ in range(_TRIES):
        try:
            scene = fitted(KINDS[kind](order, rng))
        except Unsuitable:
            continue
        break
    else:
        raise AssertionError(f"no suitable image of kind {kind!r} in {_TRIES} tries")
    present = sorted(scene.masks)
    digits = max(3, len(str(images - 1)))
    key = "-".join([*present, kind, f"{number:0{digits}d}"])
    width, height = scene.size
    record = ImageRecord(key, kind, present, width, height, [seed, number], shard)
    return record, encode_jpeg(scene.image, quality=92), scene.masks


def _view(name: str, rng: np.random.Generator, angle: float = 0.0, flip: bool = False) -> Scene:
    photo = concepts()[name]
    closeness = _CLOSENESS.get(name, (1.05, 1.8))
    place = framed(photo.image, draw_size(rng), rng, angle=angle, flip=flip, closeness=closeness)
    return framed_scene(name, photo, place)


def background(rng: np.random.Generator) -> Scene:
    """Part of a photo or texture without any of the concepts."""
    images = backgrounds()
    image = images[str(rng.choice(sorted(images)))]
    place = framed(image, draw_size(rng), rng, flip=bool(rng.random() < 0.5))
    return Scene(relight(place.apply(image), rng, strength=0.7))


def _pasted(name: str, scene: Scene, rng: np.random.Generator, smaller: float = 1.0) -> Scene:
    (least, most), turn = _PASTE.get(name, (_PASTE_SHARE, _PASTE_TURN))
    share = (least * smaller, most * smaller)
    return paste(scene, name, concepts()[name], rng, share=share, turn=turn)


def _rotation(order: Sequence[str], rng: np.random.Generator) -> Scene:
    angle = float(rng.choice([-1, 1]) * rng.uniform(8, 40))
    return _view(order[0], rng, angle=angle, flip=bool(rng.random() < 0.5))


def _light(order: Sequence[str], rng: np.random.Generator) -> Scene:
    scene = _view(order[0], rng)
    return Scene(degrade(relight(scene.image, rng), rng), scene.masks)


def _several(order: Sequence[str], rng: np.random.Generator) -> Scene:
    count = int(rng.integers(2, 4))
    if rng.random() < 0.4:
        views = [_view(name, rng, flip=bool(rng.random() < 0.5)) for name in order[:2]]
        return side_by_side(views, stacked=bool(rng.random() < 0.3))
    scene = background(rng)
    for name in order[:count]:
        scene = _pasted(name, scene, rng, smaller=0.6)
    return scene


def _none(order: Sequence[str], rng: np.random.Generator) -> Scene:
    chance = rng.random()
    if chance < 0.4:
        parts = empty_parts()
        image = parts[str(rng.choice(sorted(parts)))]
        place = framed(image, draw_size(rng), rng, flip=bool(rng.random() < 0.5))
        return Scene(relight(place.apply(image), rng, strength=0.5))
    if chance < 0.6:
        pair = [background(rng), background(rng)]
        return side_by_side(pair, stacked=bool(rng.random() < 0.5))
    return background(rng)


Recipe = Callable[[Sequence[str], np.random.Generator], Scene]
KINDS: dict[str, Recipe] = {
    "crop": lambda order, rng: _view(order[0], rng),
    "flip": lambda order, rng: _view(order[0], rng, flip=True),
    "rotation": _rotation,
    "light": _light,
    "pasted": lambda order, rng: _pasted(order[0], background(rng), rng),
    "several": _several,
    "none": _none,
}
# The kinds of ten successive images.
_CYCLE = (
    *("crop", "none", "pasted", "several", "flip"),
    *("rotation", "none", "light", "several", "pasted"),
)
