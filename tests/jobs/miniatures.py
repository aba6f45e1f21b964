"""Every benchmark in miniature, in its layout on disk."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

SIZE = (48, 64)  # height, width
STUFF = (21, 25, 33, 34, 41, 57, 87, 100, 106, 124, 145, 148, 149, 169, 172)


def paint(photo: Path, boxes: dict[int, tuple[int, int, int, int]], size=SIZE) -> np.ndarray:
    """Writes an image with a coloured box (x0, y0, x1, y1) for each label; returns the labels."""
    noise = np.random.default_rng(len(photo.name) + sum(photo.name.encode()))
    image = noise.normal(120, 6, (*size, 3))
    labels = np.zeros(size, np.uint8)
    for label, (x0, y0, x1, y1) in boxes.items():
        colour = np.random.default_rng(label).uniform(0, 255, 3)
        image[y0:y1, x0:x1] = colour + noise.normal(0, 6, (y1 - y0, x1 - x0, 3))
        labels[y0:y1, x0:x1] = label
    photo.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(photo, quality=95)
    return labels


def save(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def box(n: int, width: int = 22) -> tuple[int, int, int, int]:
    """Somewhere else in each image."""
    return (8 + 9 * n % 30, 10 + 5 * n % 14, 8 + 9 * n % 30 + width, 32 + 5 * n % 14)


def strips(labels: Sequence[int], n: int = 0, columns: int = 4) -> dict[int, tuple]:
    """A box of 14 x 14 for each label, in rows."""
    places = {
        label: (2 + 15 * (i % columns), 2 + 15 * (i // columns)) for i, label in enumerate(labels)
    }
    return {label: (x, y + n, x + 14, y + n + 14) for label, (x, y) in places.items()}


def paired(root: Path, images: str, masks: str, objects: Sequence[str], count: int = 3) -> None:
    for k, name in enumerate(objects):
        for n in range(count):
            labels = paint(root / images / name / f"{n:02}.jpg", {k + 1: box(n)})
            save(root / masks / name / f"{n:02}.png", (labels > 0).astype(np.uint8) * 255)


def folder(root):
    paired(root, "images", "masks", ("cup", "hat"))


def crowds(root):
    places = ["prompts/cup/one.png", "images/cup/01.png", "images/cup/02.png"]
    masks = ["prompts/cup/one.mask.png", "masks/cup/01.png", "masks/cup/02.png"]
    for n, (image, mask) in enumerate(zip(places, masks, strict=True)):
        save(root / mask, paint(root / image, strips([1, 2][: 1 + bool(n)], n)))


def ipseg_layout(root):
    paired(root, "imgs", "gts", ("cup",))
    (root / "ref_composed.txt").write_text("cup 01\n")


def perseg(root):
    paired(root, "data/Images", "data/Annotations", ("cup", "hat"))


def persense(root):
    paired(root, "Images", "Images", ("cup",))


def fss(root):
    for n in range(1, 11):
        labels = paint(root / f"data/abacus/{n}.jpg", {1: box(n % 3)})
        save(root / f"data/abacus/{n}.png", (labels > 0).astype(np.uint8) * 255)
    (root / "splits").mkdir()
    (root / "splits/test.txt").write_text("abacus\n")


def coco20i(root):
    names = [f"val2014/COCO_val2014_{n:012}.jpg" for n in range(3)]
    for n, name in enumerate(names):
        # The first episode of fold f is of class 72 + f, as in the published lists.
        labels = paint(root / name, strips([73, 74, 75, 76], n))
        save(root / "annotations" / Path(name).with_suffix(".png"), labels)
    (root / "splits/val").mkdir(parents=True)
    for fold in range(4):
        lists = {c: names if c % 4 == fold else [] for c in range(80)}
        (root / f"splits/val/fold{fold}.pkl").write_bytes(pickle.dumps(lists))


def pascal5i(root):
    names = [f"2007_{n:06}" for n in range(3)]
    for n, name in enumerate(names):
        labels = paint(root / f"JPEGImages/{name}.jpg", strips([1, 6, 11, 16], n))
        labels[:, -1] = 255
        save(root / f"SegmentationClassAug/{name}.png", labels)
    (root / "splits/val").mkdir(parents=True)
    for fold in range(4):
        lines = [f"{name}__{5 * fold + 1:02}\n" for name in names]
        (root / f"splits/val/fold{fold}.txt").write_text("".join(lines))


def corners(x0, y0, x1, y1):
    return [float(v) for v in (x0, y0, x1 - 1, y0, x1 - 1, y1 - 1, x0, y1 - 1)]


def lvis(root):
    images = [f"val2017/{n:012}.jpg" for n in range(2)]
    for n, name in enumerate(images):
        paint(root / "LVIS/coco" / name, {1: box(n)})
    entries = {
        name: {"annotations": [{"segmentation": [corners(*box(n))]}]}
        for n, name in enumerate(images)
    }
    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(dict.fromkeys(range(10), entries)))


def paco(root):
    images = [f"val2017/{n:012}.jpg" for n in range(2)]
    entries = {}
    for n, name in enumerate(images):
        labels = paint(root / "PACO-Part/coco" / name, {1: box(n)})
        part = {"segmentation": labels, "obj_ann_id": n, "obj_bbox": [2.0, 2.0, 62.0, 46.0]}
        entries[name] = {"annotations": [part]}
    (root / "PACO-Part/paco").mkdir()
    for split in ("train", "val"):
        every = dict.fromkeys(range(4), entries)
        (root / f"PACO-Part/paco/paco_part_{split}.pkl").write_bytes(pickle.dumps(every))


def pascal_part(root):
    kit = root / "VOC2010"
    groups = {"animals": "cat", "indoor": "bottle", "person": "person", "vehicles": "bus"}
    (kit / "Annotations_Part_json_merged_part_classes").mkdir(parents=True)
    for n in range(3):
        labels = paint(kit / f"JPEGImages/2008_{n:06}.jpg", {1: box(n)})
        rle = coco.encode(np.asfortranarray(labels))
        part = {"name": "TOP", "mask": {"size": rle["size"], "counts": rle["counts"].decode()}}
        bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), (2, 2, 62, 46), strict=True))
        objects = [{"name": o, "bndbox": bounds, "parts": [part]} for o in groups.values()]
        file = kit / f"Annotations_Part_json_merged_part_classes/2008_{n:06}.json"
        file.write_text(json.dumps({"object": objects}))
    splits = {"train": ["2008_000000"], "val": ["2008_000001", "2008_000002"]}
    index = {group: {f"{thing}+TOP": splits} for group, thing in groups.items()}
    (kit / "all_obj_part_to_image.json").write_text(json.dumps(index))


def davis(root):
    base = root / "DAVIS/2017"
    for n in range(4):
        labels = paint(base / f"JPEGImages/480p/run/{n:05}.jpg", strips([1, 2], 2 * n, 2))
        save(base / f"Annotations/480p/run/{n:05}.png", labels)
    for year in ("2016", "2017"):
        (base / "ImageSets" / year).mkdir(parents=True)
        (base / "ImageSets" / year / "val.txt").write_text("run\n")


def youtube(root):
    """Two objects; the second one, of a category that is not trained on, is there later."""
    base = root / "valid"
    names = [f"{5 * n:05}" for n in range(4)]
    for n, name in enumerate(names):
        photo = base / f"JPEGImages/0a1b/{name}.jpg"
        labels = paint(photo, strips([1, 2] if n else [1], 2 * n, 2))
        save(base / f"Annotations/0a1b/{name}.png", labels)
    objects = {
        "1": {"category": "person", "frames": names},
        "2": {"category": "spoon", "frames": names[1:]},
    }
    (base / "meta.json").write_text(json.dumps({"videos": {"0a1b": {"objects": objects}}}))


def voc_kit(root, maps, split, values):
    for n in range(2):
        labels = paint(root / f"JPEGImages/2008_{n:06}.jpg", strips(values, n))
        save(root / maps / f"2008_{n:06}.png", labels)
    (root / split).parent.mkdir(parents=True)
    (root / split).write_text("2008_000000\n2008_000001\n")


def voc(root):
    split = "ImageSets/Segmentation/val.txt"
    voc_kit(root, "SegmentationClass", split, [16, 17, 18, 19, 20])


def context(root):
    split = "ImageSets/SegmentationContext/val.txt"
    voc_kit(root, "SegmentationClassContext", split, [15, 20, 34, 49])


def stuff(root):
    for n in range(2):
        values = [class_id - 1 for class_id in STUFF]
        photo = root / f"images/val2017/{n:012}.jpg"
        labels = paint(photo, strips(values, n, 5), (64, 80))
        labels[labels == 0] = 255
        save(root / f"annotations/val2017/{n:012}.png", labels)


MAKERS = {
    "folder": folder,
    "crowds": crowds,
    "ipseg-layout": ipseg_layout,
    "perseg": perseg,
    "persense-d": persense,
    "fss-1000": fss,
    "coco-20i": coco20i,
    "pascal-5i": pascal5i,
    "lvis-92i": lvis,
    "paco-part": paco,
    "pascal-part": pascal_part,
    "davis-2017": davis,
    "davis-2016": davis,
    "youtube-vos": youtube,
    "coco-stuff": stuff,
    "pascal-voc": voc,
    "pascal-context": context,
}
