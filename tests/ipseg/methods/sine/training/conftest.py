"""Small annotated collections in the layouts of COCO, ADE20K and Objects365."""

import json

import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 60, 100
# Of each image: number of the object's class, its colour and its corners x0, y0, x1, y1.
BOXES = {
    "a.png": [(3, (220, 40, 30), (10, 10, 40, 50)), (7, (30, 60, 210), (55, 20, 90, 45))],
    "b.png": [(7, (40, 70, 200), (20, 5, 60, 30)), (7, (20, 50, 220), (70, 30, 95, 55))],
    "c.png": [(3, (200, 60, 50), (30, 15, 80, 55))],
}


def draw(name):
    image = np.full((HEIGHT, WIDTH, 3), (150, 160, 140), np.uint8)
    for _, colour, (x0, y0, x1, y1) in BOXES[name]:
        image[y0:y1, x0:x1] = colour
    return image


def save_images(folder):
    folder.mkdir(parents=True)
    for name in BOXES:
        Image.fromarray(draw(name)).save(folder / name)


def listed(prefix=""):
    sizes = {"height": HEIGHT, "width": WIDTH}
    return [{"id": n, "file_name": prefix + name, **sizes} for n, name in enumerate(BOXES, 1)]


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 3, "name": "red"}, {"id": 7, "name": "blue"}]
    path.write_text(json.dumps({**content, "categories": categories}))


def instances(path, prefix=""):
    """Annotation ids count through the file; the last object of c.png is a crowd."""
    found = []
    for image, boxes in enumerate(BOXES.values(), 1):
        for number, _, (x0, y0, x1, y1) in boxes:
            outline = [x0, y0, x1, y0, x1, y1, x0, y1]
            found.append({"image_id": image, "category_id": number, "segmentation": [outline]})
    everything = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    found.append({"image_id": 3, "category_id": 7, "segmentation": everything, "iscrowd": 1})
    found = [{"id": n, "iscrowd": 0, **each} for n, each in enumerate(found, 1)]
    write(path, images=listed(prefix), annotations=found[::-1])  # not in the order of the images


def panoptic(path, maps):
    """As ADE20K numbers it: the first object of a class has the same number in every image."""
    maps.mkdir(parents=True)
    entries = []
    for image, (name, boxes) in enumerate(BOXES.items(), 1):
        colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        segments, seen = [], []
        for number, _, (x0, y0, x1, y1) in boxes:
            segment = number * 1000 + seen.count(number)
            seen.append(number)
            colours[y0:y1, x0:x1] = (segment % 256, segment // 256, 0)
            segments.append({"id": segment, "category_id": number, "iscrowd": 0})
        colours[:5, :5] = (9, 0, 0)
        segments.append({"id": 9, "category_id": 3, "iscrowd": 1})
        Image.fromarray(colours).save(maps / name)
        entries.append({"image_id": image, "file_name": name, "segments_info": segments})
    write(path, images=listed(), annotations=entries)


@pytest.fixture(scope="session")
def collections(tmp_path_factory):
    """Name -> folder."""
    root = tmp_path_factory.mktemp("collections")
    coco = root / "coco"
    save_images(coco / "train2017")
    instances(coco / "annotations" / "instances_train2017.json")
    write(coco / "annotations" / "instances_val2017.json", images=[], annotations=[])
    write(coco / "annotations" / "captions_train2017.json", images=[], annotations=[])
    panoptic(coco / "annotations" / "panoptic_train2017.json", coco / "panoptic_train2017")
    ade = root / "ADEChallengeData2016"
    save_images(ade / "images" / "training")
    panoptic(ade / "ade20k_panoptic_train.json", ade / "ade20k_panoptic_train")
    objects = root / "objects365"
    save_images(objects / "images" / "train" / "patch0")
    instances(objects / "annotations" / "sam_objects365_train_75k.json", "patch0/")
    mine = root / "mine"
    save_images(mine / "images" / "train")
    instances(mine / "annotations" / "instances_train.json")
    return {path.name: path for path in (coco, ade, objects, mine)}
