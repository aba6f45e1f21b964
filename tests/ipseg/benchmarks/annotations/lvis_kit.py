"""LVIS in miniature."""

import json
from pathlib import Path

from PIL import Image

SQUARE = [[2.0, 3.0, 6.0, 3.0, 6.0, 8.0, 2.0, 8.0]]
CORNER = [[0, 0, 3, 0, 3, 2]]


def write(tmp_path: Path) -> Path:
    (tmp_path / "LVIS/coco/train2017").mkdir(parents=True)
    (tmp_path / "LVIS/coco/val2017").mkdir()
    for number in range(6):
        Image.new("RGB", (12, 10)).save(tmp_path / "LVIS/coco" / path_of(number))
    return tmp_path


def path_of(number):
    return f"{('val2017', 'train2017')[number % 2]}/{number:012}.jpg"


def official():
    """12 unsorted categories; two of their three images have two instances."""
    images = [
        {
            "id": number,
            "coco_url": f"http://images.cocodataset.org/{path_of(number)}",
            "height": 10,
            "width": 12,
        }
        for number in range(6)
    ]
    annotations = [
        {"id": 0, "image_id": (c + n) % 6, "category_id": c, "segmentation": s}
        for n, s in enumerate([SQUARE, CORNER, SQUARE])
        for c in range(1, 13)
        for s in ([s, CORNER] if n else [s])
    ]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number
    return {
        "info": {"description": 'with "quotes", [brackets] and é', "version": [1, {"a": None}]},
        "annotations": annotations,
        "images": images,
        "licenses": [],
        "categories": [{"id": c, "name": f"thing {c}"} for c in reversed(range(1, 14))],
    }


def save(root, data, name="LVIS/lvis_v1_val.json"):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(data))


def as_pickle(data):
    """The pickle of the released loaders, in the order of the prepared table."""
    classes = {c["id"]: {} for c in sorted(data["categories"], key=lambda c: c["id"])}
    for annotation in data["annotations"]:
        image = path_of(annotation["image_id"])
        entry = classes[annotation["category_id"]].setdefault(image, {"annotations": []})
        entry["annotations"].append({"segmentation": annotation["segmentation"]})
    return classes
