"""Maps of indices as PNG with a palette: one of concepts and one of objects for each image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as PillowImage

from ipseg.storage.streams import write_one
from ipseg.vision.painting import painted, palette
from pipeline.export.json_array import compact
from pipeline.export.writer import COVERED, HIDDEN, About, Entry, Writer

CLASSES = "classes.json"
MOST = 254  # concepts: 0 is background, 255 stands for pixels that do not count
_MOST_OBJECTS = 255  # of an image in 8 bits
_AT_ONCE = 10_000
_NUMBERS = pa.schema(
    [
        *(("file_name", pa.string()), ("number", pa.int32()), ("annotation_id", pa.int64())),
        *(("category_id", pa.int32()), ("score", pa.float32()), ("area", pa.int64())),
    ]
)


class Png(Writer):
    """`semantic/SIDE/`, `instances/SIDE/`, and which object has which number in Parquet."""

    name: ClassVar[str] = "png"
    owns: ClassVar[tuple[str, ...]] = (
        *("semantic", "instances", "images"),
        CLASSES,
    )
    by_path: ClassVar[bool] = True
    most_categories: ClassVar[int | None] = MOST

    def open(self) -> None:
        """Opens the table of numbers."""
        file = self.whole(f"instances/{self.side}.parquet")
        self._table = self.files.enter_context(pq.ParquetWriter(file, _NUMBERS, compression="zstd"))
        self._rows: list[dict[str, Any]] = []

    def add(self, entry: Entry) -> None:
        """Writes both maps of an image."""
        semantic, instances = maps_of(entry, self.about)
        name = f"{self.side}/{entry.stem}.png"
        write_one(f"{self.about.to}/semantic/{name}", index_png(semantic))
        write_one(f"{self.about.to}/instances/{name}", index_png(instances))
        areas = np.bincount(instances.ravel(), minlength=len(entry.objects) + 1)
        for number, each in enumerate(entry.objects, start=1):
            self._rows.append(
                {
                    **{"file_name": f"{entry.stem}.png", "number": number},
                    **{"annotation_id": each.id, "category_id": each.category},
                    **{"score": each.found.score, "area": int(areas[number])},
                }
            )
        if len(self._rows) >= _AT_ONCE:
            self._write()

    def close(self) -> None:
        """Writes the rest of the table."""
        self._write()

    def _write(self) -> None:
        self._table.write_table(pa.Table.from_pylist(self._rows, _NUMBERS))
        self._rows = []

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """classes.json: index -> concept."""
        return {CLASSES: classes_json(about)}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: how to read indices, and how not to."""
        return (
            "```python\nimport numpy as np\nfrom PIL import Image\n\n"
            f'classes = np.array(Image.open("semantic/{sides[0]}/NAME.png"))  # see classes.json\n'
            f'objects = np.array(Image.open("instances/{sides[0]}/NAME.png"))  '
            f"# see instances/{sides[0]}.parquet\n```\n\n"
            'Do not use `.convert("L")`, nor the grey mode of OpenCV: these give the brightness of '
            "a colour, not its index. Each pixel has one object: where masks overlap, the one with "
            "the higher score. An image with more than 255 objects has them in 16 bits."
        )


def classes_json(about: About) -> bytes:
    """JSON: number -> concept."""
    names = {0: "background", **{number: name for name, number in about.categories.items()}}
    return compact(names) + b"\n"


def numbers_of(entry: Entry) -> npt.NDArray[np.int32]:
    """(H, W): places of objects in their image, from 1, as they hide each other; 0 is none."""
    found = [each.found for each in entry.objects]
    masks, scores = [each.segmentation for each in found], [each.score for each in found]
    return painted(masks, scores, entry.height, entry.width)


def maps_of(entry: Entry, about: About) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """(H, W) each: numbers of concepts, and places of objects in their image, from 1; 0 is none."""
    found = [each.found for each in entry.objects]
    numbers = numbers_of(entry)
    visible = np.bincount(numbers.ravel(), minlength=len(found) + 1)[1:]
    about.lost[COVERED] += sum(each.area for each in found) - int(visible.sum())
    about.lost[HIDDEN] += int(np.count_nonzero(visible == 0))
    categories = np.array([0, *(each.category for each in entry.objects)], np.uint8)
    return categories[numbers], numbers.astype(np.uint16)


def index_png(indices: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """PNG of an (H, W) map of indices: with VOC's palette, or 16-bit grey above 255."""
    buffer = io.BytesIO()
    if indices.max(initial=0) > _MOST_OBJECTS:
        PillowImage.fromarray(indices.astype(np.uint16)).save(buffer, "PNG")
        return buffer.getvalue()
    image = PillowImage.fromarray(indices.astype(np.uint8))
    image.putpalette(palette().ravel().tolist())
    image.save(buffer, "PNG")
    return buffer.getvalue()
