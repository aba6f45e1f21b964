"""COCO 2014 in miniature, as it is downloaded."""

import json
from pathlib import Path

from PIL import Image

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES

HEIGHT, WIDTH = 80, 120
GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # ids that COCO does not use
CATEGORY_IDS = [n for n in range(1, 91) if n not in GAPS]


def write(tmp_path: Path) -> Path:
    """The downloads from COCO's site: images and a JSON file for each half."""
    base = tmp_path / "data/MSCOCO2014"
    for folder in ("val2014", "train2014"):
        (base / folder).mkdir(parents=True)
        found = official(folder)
        for image in found["images"]:
            Image.new("RGB", (WIDTH, HEIGHT)).save(base / folder / image["file_name"])
        path = base / f"annotations/instances_{folder}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found))
    return tmp_path


def rectangle(x0, y0, x1, y1):
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def annotation(number, image, class_id, segmentation, crowd=0):
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORY_IDS[class_id],
        "segmentation": segmentation,
        "iscrowd": crowd,
        "area": 100.0,
    }


def official(folder):
    """Four images with a strip of every class; the third and last have a crowd and overlaps."""
    images = [
        {"id": 70 - n, "file_name": f"COCO_{folder}_{n:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        for n in range(1, 5)
    ]
    annotations = []
    for image in images:
        for c in range(80):
            strip = rectangle(0, c, 60, c + 1)
            annotations.append(annotation(len(annotations) + 1, image["id"], c, strip))
    runs = {"size": [HEIGHT, WIDTH], "counts": [60 * HEIGHT, 60 * HEIGHT]}  # the right half
    annotations.append(annotation(900, images[2]["id"], 7, runs, crowd=1))
    annotations.append(annotation(901, images[2]["id"], 3, rectangle(90, 0, 110, 80)))
    annotations.append(annotation(902, images[2]["id"], 4, rectangle(100, 0, 110, 80)))
    annotations.insert(0, annotations.pop())  # the file's order is not that of the ids
    categories = [
        {"id": n, "name": name} for n, name in zip(CATEGORY_IDS, COCO_CLASSES, strict=True)
    ]
    return {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": categories[::-1],
    }
