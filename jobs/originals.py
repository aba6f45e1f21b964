"""The images behind a row of a run: the image itself, or the frames of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipseg.errors import OutputError
from ipseg.rows import Image
from ipseg.steps.decode import Decode, Frames, Read
from ipseg.vision.images import ImageLimits
from pipeline.runfolder.parts import Place
from pipeline.sources.listing import read_listed


@dataclass(frozen=True)
class _Still(Sequence[Image]):
    """One image, or the part of it that counts, read when it is asked for."""

    uri: str
    crop: Sequence[int] | None
    limits: ImageLimits = field(repr=False)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]  # no slices
        if index:
            raise IndexError("a still image has frame 0 only")
        rows = Read()([{"uri": self.uri, "crop": self.crop}])
        image: Image = Decode(self.limits)(rows)[0]["image"]
        return image


def originals(
    out: str, place: Place, row: Mapping[str, Any], limits: ImageLimits
) -> Sequence[Image]:
    """The frames of a row in order, one for a still image; each is read when it is asked for.

    Args:
        out: run folder.
        place: of the row in it.
        row: with `uri` and `objects`.
        limits: sizes of images that the run accepted.

    Raises:
        OutputError: it is a sequence, and the run no longer says of which frames.
        OSError: the run's listing cannot be read.
    """
    listed = read_listed(out, place.shard, place.key)
    if listed and "frame_uris" in listed:
        return Frames(tuple(listed["frame_uris"]), limits)
    if any(each["frame"] for each in row["objects"]):
        raise OutputError(
            f"{place.key} is a sequence, but {out}/listing, which has its frames, is not there"
        )
    return _Still(row["uri"], None if listed is None else listed.get("crop"), limits)
