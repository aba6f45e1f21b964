"""COCO-NOVEL: instances of 20 classes from a few annotated ones, in the splits of TFA.

Source of the splits: Wang et al., "Frustratingly Simple Few-Shot Object Detection" (ICML 2020).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ipseg.benchmarks.annotations.coco_instances import FILE
from ipseg.benchmarks.annotations.segmentation import to_rle
from ipseg.benchmarks.dropped import Dropped, RecordError
from ipseg.benchmarks.episode import Example
from ipseg.benchmarks.ground_truth import rle_address
from ipseg.benchmarks.layout import check_files, is_file, locate
from ipseg.errors import SourceError
from ipseg.storage.files import is_folder, read_bytes

_TEST = "cocosplit/datasplit/5k.json"
# COCO's id -> name: the classes of PASCAL VOC, in COCO's order.
NOVEL = {
    **{1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train"},
    **{9: "boat", 16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow"},
    **{44: "bottle", 62: "chair", 63: "couch", 64: "potted plant", 67: "dining table", 72: "tv"},
}


@dataclass(eq=False)
class CocoNovelBenchmark:
    """A few references of each class are looked for in 5,000 images; each fold is a seed of TFA.

    References are single annotations: an image with two of them is there twice. Where a file lists
    more than `shot`, some are drawn, with the number of the seed (the release draws without one).

    Attributes:
        name: on the command line.
        title: in papers.
        layout: the files it needs below its root, for errors and `--help`.
        folds: names of the seeds.
        formulas: in `ipseg.metrics.coco_ap.KINDS`, the main one first.
        root: local path or fsspec URL.
        shot: references of each class.
        strict: refuses annotations that cannot be used, instead of leaving them out.
        dropped: what was left out so far.
    """

    name: ClassVar[str] = "coco-novel"
    title: ClassVar[str] = "COCO-NOVEL"
    layout: ClassVar[str] = (
        "ROOT/cocosplit/seed{0..9}/full_box_<shot>shot_<class>_trainval.json\n"
        "                                   those of seed 0 may lie in cocosplit/, as in TFA\n"
        "ROOT/cocosplit/datasplit/5k.json   the test images, all of COCO val2014\n"
        "ROOT/coco/{train2014,val2014}/COCO_{train,val}2014_000000000042.jpg\n"
        "                                   or all in coco/trainval2014/\n"
        "Get the splits from the repository ucbdrive/few-shot-object-detection."
    )
    places: ClassVar[tuple[str, ...]] = ("", "datasets", "data")
    needed: ClassVar[tuple[str, ...]] = (_TEST, "coco/")
    folds: ClassVar[tuple[str, ...]] = tuple(f"seed{n}" for n in range(10))
    formulas: ClassVar[tuple[str, ...]] = ("mask AP", "box AP")

    root: str
    _: KW_ONLY
    shot: int = 1
    strict: bool = False
    dropped: Dropped = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.root = self.root.rstrip("/")
        self.dropped = Dropped(strict=self.strict)

    def check(self, folds: Sequence[str]) -> None:
        """Reads the lists and checks that their images exist.

        Raises:
            SourceError: says what is missing or malformed, and where it was expected.
        """
        references = (self.references(fold).values() for fold in folds)
        used = [*self.images, *(each for of in references for shots in of for each in shots)]
        check_files(self._base, {each.uri.removeprefix(f"{self._base}/") for each in used})

    @cached_property
    def images(self) -> dict[Example, int]:
        """Test image -> its number in COCO, in the order of the file."""
        return {self._image(each["file_name"]): each["id"] for each in self._test["images"]}

    @cached_property
    def truth(self) -> dict[str, Any]:
        """Ground truth of the novel classes as in COCO's files."""
        kept = [each for each in self._test["annotations"] if each["category_id"] in NOVEL]
        categories = [{"id": number, "name": name} for number, name in NOVEL.items()]
        return {"images": self._test["images"], "annotations": kept, "categories": categories}

    def references(self, fold: str) -> dict[str, list[Example]]:
        """Class -> its references, in COCO's order of classes.

        Raises:
            SourceError: a file is missing or malformed, or lists fewer than `shot` usable ones.
        """
        return {name: self._references(fold, number, name) for number, name in NOVEL.items()}

    def _references(self, fold: str, number: int, name: str) -> list[Example]:
        seed = self.folds.index(fold)
        url = self._list_of(fold, name)
        content = _read(url)
        images = {each["id"]: each for each in content["images"]}
        usable = []
        for each in content["annotations"]:
            with self.dropped.record():
                if each["category_id"] == number and not each.get("iscrowd"):
                    usable.append(self._reference(each, images, url))
        if len(usable) < self.shot:
            raise SourceError(
                f"{url} has {len(usable)} usable annotation(s) of '{name}', too few for shot "
                f"{self.shot}"
            )
        drawn = np.random.default_rng([seed, number]).permutation(len(usable))[: self.shot]
        return [usable[index] for index in sorted(drawn)]

    def _reference(
        self, annotation: Mapping[str, Any], images: Mapping[int, Any], url: str
    ) -> Example:
        where = f"{url}: annotation {annotation.get('id')!r}"
        image = images.get(annotation["image_id"])
        if image is None:
            raise RecordError(
                "annotation of an image that is not listed", f"{where}: its image is not listed"
            )
        size = (image["height"], image["width"])
        rle = to_rle(annotation["segmentation"], size, where, self.dropped)
        return self._image(image["file_name"], rle_address(rle))

    def _list_of(self, fold: str, name: str) -> str:
        """The list of a class; TFA has that of seed 0 beside the folders of the others."""
        file = f"full_box_{self.shot}shot_{name}_trainval.json"
        own = f"{self._base}/cocosplit/{fold}/{file}"
        beside = f"{self._base}/cocosplit/{file}"
        return beside if fold == self.folds[0] and not is_file(own) else own

    def _image(self, name: str, ground_truth: str = "") -> Example:
        match = FILE.fullmatch(name)
        if match is None:
            raise SourceError(f"{self._base}/cocosplit lists {name!r}, which is no image of COCO")
        folder = "trainval2014" if self._in_one_folder else match["folder"]
        key = f"coco/{folder}/{name}"
        return Example(key, f"{self._base}/{key}", ground_truth)

    @cached_property
    def _in_one_folder(self) -> bool:
        return is_folder(f"{self._base}/coco/trainval2014")

    @cached_property
    def _base(self) -> str:
        return locate(self.root, self.places, self.needed, title=self.title, layout=self.layout)

    @cached_property
    def _test(self) -> dict[str, Any]:
        return _read(f"{self._base}/{_TEST}")


def _read(url: str) -> dict[str, Any]:
    """A file in COCO's format.

    Raises:
        SourceError: it is missing, or is no such file.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(read_bytes(url))
        named = {(each["id"], each["file_name"], each["height"]) for each in content["images"]}
        numbers = {(each["image_id"], each["category_id"]) for each in content["annotations"]}
    except FileNotFoundError as error:
        raise SourceError(f"{url} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{url} is not in COCO's format: {error!r}") from error
    if not named or not numbers:
        raise SourceError(f"{url} lists no image or no annotation")
    return dict(content)
