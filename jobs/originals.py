"""The images behind a row of a run: the image itself, or the frames of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipseg.errors import OutputError
from ipseg.rows import Image
from ipseg.steps.decode import Decode, Read, open_frames
from ipseg.vision.images import ImageLimits
from pipeline.runfolder.parts import Place
from pipeline.sources.listing import read_listed


def originals(
    out: str, place: Place, row: Mapping[str, Any], limits: ImageLimits
) -> Sequence[Image]:
    """The frames of a row in order, each read when it is asked for; a still image has one.

    Args:
        out: run folder.
        place: of the row in it.
        row: with `uri` and `objects`.
        limits: sizes of images that the run accepted.

    Raises:
        OutputError: it is a sequence, and the run no longer says of which frames.
        OSError: the run's listing, or a still image, cannot be read.
        ImageError: the still image is damaged, or out of limits.
    """
    listed = read_listed(out, place.shard, place.key)
    if listed and "frame_uris" in listed:
        return open_frames(listed["frame_uris"], limits)
    if any(each["frame"] for each in row["objects"]):
        raise OutputError(
            f"{place.key} is a sequence, but {out}/listing, which has its frames, is not there"
        )
    crop = None if listed is None else listed.get("crop")
    rows = Decode(limits)(Read()([{"uri": row["uri"], "crop": crop}]))
    return [rows[0]["image"]]
