"""COCO-20i's label maps and splits from COCO's official annotations.

The maps and lists that papers used were distributed without a specification. Known facts are kept:
the value of a pixel is the contiguous class id plus 1, fold f tests the classes f, f + 4, ...,
images are named by their path, and the training list of a fold has the other sixty classes. The
rest is decided here:

* Where objects overlap, the later one in the file is on top; crowds are below all others.
* A class is in an image if the map has at least one pixel of it. The official lists are shorter
  (for validation 35,783, 17,912, 14,563 and 14,315 pairs of image and class), by an unknown rule.
* The images of a class are sorted by name. The official order is unknown, and draws depend on it:
  **a rebuilt split does not give the published lists**. To get those, put the official
  `fold{0..3}.pkl` into `splits/val/`; they are converted in their order.

What was made from what is written to `ipseg_prepared.json`, and each label map holds a hash of the
annotations it was painted from. So those that have changed are made again, and what is not from
here is kept.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from ipseg.benchmarks.annotations.coco_instances import COCO_CLASSES, Instances
from ipseg.benchmarks.annotations.coco_splits import FOLDS, fold_classes, read_split, write_split
from ipseg.benchmarks.annotations.json_stream import ImageEntry
from ipseg.benchmarks.annotations.label_index import Coding, count_labels
from ipseg.benchmarks.annotations.origin import Origin
from ipseg.benchmarks.benchmark import Progress
from ipseg.benchmarks.dropped import Dropped
from ipseg.benchmarks.layout import absolute, folders_of, is_file, locate, nested
from ipseg.errors import SourceError
from ipseg.storage.files import read_bytes, remove, write_whole
from ipseg.storage.walk import list_files
from ipseg.vision.masks import RLE, decode_rle

CODING = Coding(
    values={class_id: class_id + 1 for class_id in range(len(COCO_CLASSES))},
    possible=frozenset(range(len(COCO_CLASSES) + 1)),
    void=None,
    explanation="0 is background, 1 to 80 are the contiguous class ids plus 1",
)

PLACES = nested("", "COCO2014", "MSCOCO2014")
INSTANCES = "annotations/instances_{folder}.json"  # folder is train2014 or val2014
VAL_INSTANCES = INSTANCES.format(folder="val2014")
LAYOUT = (
    "ROOT/val2014/COCO_val2014_*.jpg\n"
    "ROOT/annotations/val2014/COCO_val2014_*.png   label maps: class 0 to 79, plus 1\n"
    "ROOT/splits/val/fold{0..3}.pkl or .parquet    official: repository aim-uofa/Matcher,\n"
    "                                              datasets/COCO2014/splits\n"
    f"ROOT/{VAL_INSTANCES}        makes maps and splits by\n"
    "                                              `ipseg data prepare coco-20i`; rule\n"
    "                                              'fss-sam3' needs nothing else\n"
    "ROOT may also be the folder above COCO2014/ or MSCOCO2014/, datasets/ or data/."
)

_SPLITS = {"val": "val2014", "trn": "train2014"}
_RECORD = "ipseg_prepared.json"
_PAINTED_FROM = "ipseg"  # text chunk of a label map


def prepare(
    root: str,
    out: str | None = None,
    progress: Progress | None = None,
    dropped: Dropped | None = None,
) -> list[str]:
    """Builds the missing files in `annotations/{train,val}2014/*.png` and `splits/`.

    Label maps whose annotations have not changed since they were painted, and those from elsewhere,
    are kept and their values checked, so an interrupted call continues where it stopped. Images
    without annotations get no map. A split is converted from its pickle; without one it is kept if
    it is not from here, else built from the maps. Training data is built if its annotations exist;
    without any annotations, only pickles are converted.

    Args:
        root: data root of COCO-20i.
        out: folder to write to instead; `val2014/` must be put there too.
        progress: called after each label map.
        dropped: takes up records that cannot be used.

    Returns:
        Addresses of the files that were written.

    Raises:
        SourceError: the official annotations are missing or malformed (names the file), or a
            label map has a value above 80.
        OSError: a file cannot be read or written.
    """
    base = _find(root)
    target = base if out is None else absolute(out.rstrip("/"))
    written: list[str] = []
    made = prepared(target)
    for split, folder in _SPLITS.items():
        url = f"{base}/{INSTANCES.format(folder=folder)}"
        images = from_maps = None
        if is_file(url):
            made[maps_of(folder)] = Origin.of([url])
            instances = Instances(url, dropped=dropped)
            images = _prepare_maps(instances, f"{target}/annotations", written, progress)
        for fold in range(FOLDS):
            place = f"splits/{split}/fold{fold}"
            converted, official = f"{target}/{place}.parquet", f"{base}/{place}.pkl"
            known = made.get(f"{place}.parquet")
            if is_file(official):
                made[f"{place}.parquet"] = Origin.of([official])
                lists = read_split(official)
            elif images is not None and (not is_file(converted) or is_rebuilt(known)):
                from_maps = from_maps or Origin.of([f"{target}/{maps_of(folder)}"])
                made[f"{place}.parquet"] = from_maps
                lists = _rebuilt(images, fold, tested=split == "val")
                if is_file(converted) and read_split(converted) == lists:
                    continue
            else:
                continue
            write_split(converted, lists)
            written.append(converted)
    record = {place: asdict(origin) for place, origin in made.items()}
    write_whole(f"{target}/{_RECORD}", json.dumps(record, indent=1).encode())
    return written


def prepared(base: str) -> dict[str, Origin]:
    """What was made here from what: path below the data set -> its origin.

    Raises:
        SourceError: the record is damaged.
        OSError: it cannot be read.
    """
    url = f"{base}/{_RECORD}"
    try:
        record = json.loads(read_bytes(url))
        return {place: Origin(**each) for place, each in record.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{url} is damaged ({error}); delete it, annotations/ and splits/, and run `ipseg data "
            "prepare coco-20i` again"
        ) from error


def maps_of(folder: str) -> str:
    """Path of the label maps of a folder of images."""
    return f"annotations/{folder}/"


def is_rebuilt(origin: Origin | None) -> bool:
    """Whether a split was made from label maps, so that it is not the published list."""
    return origin is not None and origin.files[0].endswith("/")


def _find(root: str) -> str:
    root = root.rstrip("/")
    try:
        return locate(root, PLACES, [VAL_INSTANCES], title="COCO-20i", layout=LAYOUT)
    except SourceError:
        for base in folders_of(root, PLACES):
            if is_file(f"{base}/splits/val/fold0.pkl"):
                return absolute(base)
        raise


def _prepare_maps(
    instances: Instances, folder: str, written: list[str], progress: Progress | None
) -> dict[int, list[str]]:
    """Writes missing label maps; returns class -> images that contain it, sorted by name."""
    segments: dict[int, list[tuple[bool, int, RLE]]] = {}
    for annotation in instances.annotations():
        with instances.dropped.record():
            segments.setdefault(annotation.image_id, []).append(
                (annotation.crowd, annotation.class_id, instances.rle(annotation))
            )
    existing = _existing(folder, {image.path for image in instances.images.values()})
    images: dict[int, list[str]] = {class_id: [] for class_id in range(len(COCO_CLASSES))}
    order = sorted(segments, key=lambda image_id: instances.images[image_id].path)
    for done, image_id in enumerate(order, start=1):
        image = instances.images[image_id]
        name = f"{image.path.removesuffix('.jpg')}.png"
        url = f"{folder}/{name}"
        painted_from = _digest(image, segments[image_id])
        if name in existing and _painted_from(url) in ("", painted_from):
            values: Iterable[int] = count_labels(url, CODING)
        else:
            labels = _paint(image, segments[image_id])
            write_whole(url, _png(labels, painted_from))
            written.append(url)
            values = np.unique(labels).tolist()
        existing.discard(name)
        for value in values:
            if value:
                images[value - 1].append(image.path)
        if progress is not None:
            progress(done, len(order))
    for url in (f"{folder}/{name}" for name in existing):
        if _painted_from(url):
            remove(url)  # its annotations are gone
    return images


def _existing(folder: str, paths: Iterable[str]) -> set[str]:
    """Names of the existing label maps, below the folder."""
    return {
        f"{place}/{url.rpartition('/')[2]}"
        for place in {path.partition("/")[0] for path in paths}
        for url in list_files(f"{folder}/{place}")
    }


def _paint(image: ImageEntry, segments: list[tuple[bool, int, RLE]]) -> npt.NDArray[np.uint8]:
    labels = np.zeros(image.size, np.uint8)
    for _, class_id, rle in sorted(segments, key=lambda segment: not segment[0]):
        labels[decode_rle(rle)] = CODING.values[class_id]
    return labels


def _digest(image: ImageEntry, segments: list[tuple[bool, int, RLE]]) -> str:
    return hashlib.sha256(repr((image.size, segments)).encode()).hexdigest()[:32]


def _png(labels: npt.NDArray[np.uint8], painted_from: str) -> bytes:
    text = PngInfo()
    text.add_text(_PAINTED_FROM, painted_from)
    buffer = io.BytesIO()
    PillowImage.fromarray(labels).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def _painted_from(url: str) -> str:
    """The hash of the annotations of a label map that was painted here; "" for others."""
    try:
        with PillowImage.open(io.BytesIO(read_bytes(url))) as image:
            return str(image.info.get(_PAINTED_FROM, ""))
    except (OSError, SyntaxError, ValueError):
        return ""  # `count_labels` refuses it


def _rebuilt(images: dict[int, list[str]], fold: int, *, tested: bool) -> dict[int, list[str]]:
    """The lists of the test classes of a fold, or of the other classes."""
    return {
        c: names for c, names in images.items() if names and (c in fold_classes(fold)) == tested
    }
