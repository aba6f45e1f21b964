"""Tars of samples, as WebDataset reads them: an image and a JSON for each."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from typing import Any, ClassVar

from pipeline.export.formats.png import CLASSES, classes_json
from pipeline.export.json_array import compact
from pipeline.export.rolling import RollingWriter
from pipeline.export.writer import About, Entry

_MOST_BYTES = 500 * 10**6  # of a tar
_MODE = 0o444


class WebDataset(RollingWriter):
    """`SIDE-000000.tar` ...; the key of a sample is the number of its image.

    The library ends a key at the first dot, so that the real key is in the JSON. Every sample has
    the same two members, because readers learn from the first ones which there are.
    """

    name: ClassVar[str] = "webdataset"
    owns: ClassVar[tuple[str, ...]] = ("tars", CLASSES)
    folder: ClassVar[str] = ""
    jpeg: ClassVar[bool] = True
    may_refer: ClassVar[bool] = False
    per_file: int | None = 100_000

    def begin(self) -> None:
        """Opens a tar."""
        file = self.whole(f"tars/{self.side}-{self.number:06d}.tar")
        tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._tar = self.files.enter_context(tar)

    def is_full(self, images: int) -> bool:
        """By bytes as well."""
        return self._tar.offset >= _MOST_BYTES or super().is_full(images)

    def put(self, entry: Entry) -> None:
        """Writes the two members of a sample."""
        sample = f"{entry.id:09d}"
        self._member(f"{sample}.jpg", entry.data or b"")
        self._member(f"{sample}.json", compact(self._about_it(entry)))
        self._tar.members.clear()  # type: ignore[attr-defined]  # it would remember every header

    def end(self) -> None:
        """The tar is completed by closing it."""

    def _about_it(self, entry: Entry) -> dict[str, Any]:
        objects = [
            {
                **{"ann_id": each.id, "category_id": each.category, "concept": each.found.concept},
                **{"bbox": each.found.bbox, "area": each.found.area, "iscrowd": 0},
                "segmentation": {
                    "size": [int(n) for n in each.found.segmentation["size"]],
                    "counts": each.found.segmentation["counts"],
                },
                "score": round(float(each.found.score), 6),
                "status": each.found.status,
            }
            for each in entry.objects
        ]
        return {
            **{"image_id": entry.id, "key": entry.key, "file_name": entry.name},
            **{"width": entry.width, "height": entry.height, "objects": objects},
        }

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), _MODE, 0
        self._tar.addfile(info, io.BytesIO(data))

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """classes.json."""
        return {CLASSES: classes_json(about)}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: webdataset."""
        return (
            "```python\nfrom glob import glob\n\nimport webdataset as wds\n\n"
            f'data = wds.WebDataset(sorted(glob("tars/{sides[0]}-*.tar"))).decode("pil")\n'
            'for sample in data:\n    sample["jpg"], sample["json"]["objects"]\n```\n\n'
            "Images are JPEG: others were encoded again with quality 95. Shuffle while reading: "
            "images come in the order of the run."
        )
