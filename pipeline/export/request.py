"""What is to be exported, and whether that can be."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ipseg.errors import ConfigError, OutputError
from pipeline.export.formats.registry import format_of
from pipeline.export.images import Handling
from pipeline.export.splits import Splits
from pipeline.export.writer import Options, Writer
from pipeline.labels.selection import Selection
from pipeline.runfolder.manifest import Manifest

_USUAL = asdict(Options())
_FLAGS = {
    "segmentation": "--segmentation",
    "bridge_holes": "--bridge-holes",
    "tolerance": "--simplify",
    "parts": "--parts",
    "per_file": "--per-file",
}


@dataclass(frozen=True)
class Request:
    """An export.

    Attributes:
        out: run folder.
        format: one of `FORMATS`.
        selection: which objects are labels.
        splits: sides.
        handling: of the images.
        options: within the format.
    """

    out: str
    format: str
    selection: Selection
    splits: Splits = field(default_factory=lambda: Splits.parse(None))
    handling: Handling = "copy"
    options: Options = field(default_factory=Options)

    @property
    def writer(self) -> type[Writer]:
        """Of the format. Raises ConfigError if there is none of its name."""
        return format_of(self.format)

    def checked(self) -> Manifest:
        """The manifest of the run, if it can be exported like this.

        Raises:
            ConfigError: choices that do not go together.
            OutputError: there is no run, or one of another kind.
        """
        if self.handling == "refer" and not self.writer.may_refer:
            raise ConfigError(f"format {self.format} holds the images; use --images copy")
        self._check_options()
        manifest = Manifest.read(self.out)
        if manifest is None:
            raise OutputError(f"no run at {self.out}: it has no manifest.json")
        if "episodes" in manifest.identity:
            raise OutputError(f"{self.out} is an evaluation; its objects are no labels")
        if "variants" in manifest.identity:
            raise OutputError(
                f"{self.out} compares settings; run `ipseg segment` with one of them, and export it"
            )
        return manifest

    def _check_options(self) -> None:
        chosen = {name for name, value in asdict(self.options).items() if value != _USUAL[name]}
        for name in sorted(chosen - self.writer.choices):
            raise ConfigError(f"format {self.format} has no use for {_FLAGS[name]}")
        outlines = chosen & {"bridge_holes", "tolerance"}
        if outlines and self.options.segmentation == "rle":
            flag = _FLAGS[min(outlines)]
            raise ConfigError(f"{flag} is about outlines; give --segmentation polygon as well")

    def arguments(self) -> dict[str, Any]:
        """As plain data, without the places."""
        said = asdict(self)
        del said["out"]
        thresholds = said["selection"]["thresholds"]
        said["selection"]["thresholds"] = {
            name: None if math.isinf(value) else value for name, value in thresholds.items()
        }
        return dict(json.loads(json.dumps(said)))
