"""Tasks of Label Studio, with masks as brush strokes.

What nobody has looked at is a prediction: people accept it there, it can be sorted by score and
replaced. What somebody has accepted here is an annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from ipseg.storage.files import filesystem, is_local
from ipseg.vision.brush import encode_brush
from pipeline.export.json_array import JsonArray
from pipeline.export.markup import xml_text
from pipeline.export.rolling import RollingWriter
from pipeline.export.writer import About, Annotation, Entry

_FROM, _TO = "mask", "image"  # names in the labelling configuration


class LabelStudio(RollingWriter):
    """`tasks/SIDE.json`, or `tasks/SIDE-00000.json` ..., and `label_config.xml`."""

    name: ClassVar[str] = "labelstudio"
    owns: ClassVar[tuple[str, ...]] = ("tasks", "images", "label_config.xml")
    per_file: int | None = 2000

    def begin(self) -> None:
        """Opens a file of tasks."""
        self._tasks = JsonArray(self.whole(f"tasks/{self.side}{self.suffix}.json"))

    def put(self, entry: Entry) -> None:
        """Writes a task."""
        scores = [float(each.found.score) for each in entry.objects]
        auto = [each for each in entry.objects if each.found.status == "auto"]
        accepted = [each for each in entry.objects if each.found.status != "auto"]
        # The least sure object is what somebody should see first.
        score = round(min(scores, default=0.0), 6)
        task: dict[str, Any] = {
            "data": {
                **{"image": self._address(entry), "key": entry.key, "image_id": entry.id},
                **{"score": score, "split": self.side},
            },
            "predictions": [
                {
                    **{"model_version": self.about.model, "score": score},
                    "result": list(self._regions(entry, auto)),
                }
            ],
        }
        if accepted:
            task["annotations"] = [{"result": list(self._regions(entry, accepted))}]
        self._tasks.add(task)

    def end(self) -> None:
        """Ends the array."""
        self._tasks.end()

    def _address(self, entry: Entry) -> str:
        """Where the server finds the image: below its document root, or by itself."""
        if self.about.refers:
            if not is_local(entry.uri):
                return entry.uri
            path = filesystem(entry.uri)[1].lstrip("/")
        elif not is_local(self.about.to):
            return f"{self.about.to}/images/{self.side}/{entry.name}"
        else:
            path = f"images/{self.side}/{entry.name}"
        return f"/data/local-files/?d={quote(path)}"

    def _regions(self, entry: Entry, objects: Iterable[Annotation]) -> Iterable[dict[str, Any]]:
        for each in objects:
            yield {
                **{"id": f"ipseg-{each.id}", "type": "brushlabels"},
                **{"from_name": _FROM, "to_name": _TO, "image_rotation": 0},
                **{"original_width": entry.width, "original_height": entry.height},
                "value": {
                    **{"format": "rle", "rle": encode_brush(each.found.mask)},
                    "brushlabels": [xml_text(each.found.concept)],
                },
                "score": round(float(each.found.score), 6),
            }

    @classmethod
    def of_all_sides(cls, about: About, sides: Sequence[str]) -> dict[str, bytes]:
        """The labelling configuration."""
        labels = "".join(
            f"    <Label value={quoteattr(xml_text(name))}/>\n" for name in about.categories
        )
        text = (
            f'<View>\n  <Image name="{_TO}" value="$image" zoom="true"/>\n'
            f'  <BrushLabels name="{_FROM}" toName="{_TO}">\n{labels}  </BrushLabels>\n</View>\n'
        )
        return {"label_config.xml": text.encode()}

    @classmethod
    def how_to_load(cls, about: About, sides: Sequence[str]) -> str:
        """Markdown: server settings, storage, import."""
        root = "/" if about.refers else "this folder"
        below = "the folder of your images" if about.refers else "`images` in this folder"
        return (
            f"1. Start the server with `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true` and "
            f"`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` = {root}.\n"
            "2. Make a project with the labelling configuration `label_config.xml`.\n"
            f"3. Add a *Local files* source storage with {below} (do not sync it: without it the "
            "server refuses the images).\n"
            "4. Import `tasks/*.json` alone, without images.\n\n"
            "Objects that nobody has looked at are predictions; accepted ones are annotations."
        )
