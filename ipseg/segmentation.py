"""What was found in one image or sequence: to read, to draw, to export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ipseg.errors import ImageError
from ipseg.objects import Object, best_scores, notable, without_weak
from ipseg.rows import Image, Mask
from ipseg.steps.decode import Frames
from ipseg.vision.images import encode_png, thumbnail
from ipseg.vision.overlay import Drawn, colour_of, draw
from ipseg.vision.video import VideoFrames

if TYPE_CHECKING:
    import supervision

_DISPLAY_SIDE = 640  # pixels of an image in a notebook


@dataclass(frozen=True, repr=False)
class Segmentation:
    """What was found in one image or sequence.

    Attributes:
        images: (H, W, 3) uint8 RGB each, upright: the image, or the frames of the sequence. Empty
            if it could not be used.
        objects: found, with their masks and scores.
        concepts: all that was looked for, in the bank's order, found or not.
        key: name of the image: its address, its name below the folder that was given, or its number
            among those given.
        error: why the image could not be used; None if it could.
    """

    images: Sequence[Image]
    objects: tuple[Object, ...]
    concepts: tuple[str, ...]
    key: str = ""
    error: str | None = None

    @property
    def image(self) -> Image:
        """The image, or the first frame. Raises ImageError if it could not be used."""
        if self.error is not None:
            raise ImageError(f"image {self.key}: {self.error}")
        return self.images[0]

    @property
    def masks(self) -> dict[str, Mask]:
        """Concept -> (H, W) bool, all of its objects in `image` together."""
        found: dict[str, Mask] = {}
        for each in self.of_frame(0):
            found[each.concept] = each.mask | found.get(each.concept, False)
        return found

    @property
    def boxes(self) -> dict[str, npt.NDArray[np.float32]]:
        """Concept -> (n, 4): x0, y0, x1, y1 in pixels of `image`, one for each object."""
        return {
            name: _corners([o for o in self.of_frame(0) if o.concept == name])
            for name in self.masks
        }

    @property
    def points(self) -> dict[str, npt.NDArray[np.float32]]:
        """Concept -> (n, 3): x, y in pixels of `image`, label 1 on the object and 0 off it."""
        return {
            name: np.concatenate([o.points for o in self.of_frame(0) if o.concept == name])
            for name in self.masks
        }

    @property
    def scores(self) -> dict[str, float]:
        """Concept -> highest score of its objects, in [0, 1]."""
        return best_scores(self.objects)

    def of_frame(self, frame: int) -> list[Object]:
        """The objects of one frame; of frame 0 in a still image."""
        return [each for each in self.objects if each.frame == frame]

    def overlay(self, min_score: float | None = None, frame: int = 0) -> Image:
        """(H, W, 3) uint8: the image with masks, points and scores drawn on it.

        Args:
            min_score: objects below are left out; None leaves out concepts far from the best, and
                weak objects of the others.
            frame: of a sequence.
        """
        kept = notable(self.scores, min_score)
        here = self.of_frame(frame)
        strong = without_weak(here) if min_score is None else here
        objects = [
            each for each in strong if each.concept in kept and each.score >= (min_score or 0)
        ]
        drawn = [
            Drawn(
                colour_of(self.concepts.index(each.concept)),
                each.mask,
                each.points,
                f"{each.concept} {each.score:.2f}",
            )
            for each in sorted(objects, key=lambda each: each.score)  # the highest score on top
        ]
        return draw(self.images[frame] if frame else self.image, drawn)

    def to_coco(self) -> dict[str, Any]:
        """This image as COCO's JSON has it: see `ipseg.to_coco`, which takes several."""
        return to_coco([self])

    def to_supervision(self, frame: int = 0) -> supervision.Detections:
        """The objects of a frame as detections of the package supervision.

        `class_id` is the category id; the concept's name is in `data["class_name"]`.

        Raises:
            ImportError: the package is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise ImportError(
                "to_supervision needs a package that ipseg does not: pip install supervision"
            ) from error
        objects = self.of_frame(frame)
        if not objects:
            return Detections.empty()
        return Detections(
            xyxy=_corners(objects),
            mask=np.stack([each.mask for each in objects]),
            confidence=np.array([each.score for each in objects], np.float32),
            class_id=np.array([each.category_id for each in objects]),
            data={"class_name": np.array([each.concept for each in objects])},
        )

    def __repr__(self) -> str:
        """One line, without pixels."""
        if self.error is not None:
            return f"<Segmentation {self.key}: failed, {self.error}>"
        found = ", ".join(f"{name} {score:.2f}" for name, score in self.scores.items())
        height, width = self.image.shape[:2]
        frames = f", {len(self.images)} frames" if len(self.images) > 1 else ""
        return f"<Segmentation {self.key} {width}x{height}{frames}: {found or 'nothing found'}>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook displays: the overlay, reduced; a failure is displayed as text."""
        return None if self.error else encode_png(thumbnail(self.overlay(), _DISPLAY_SIDE))


def to_coco(results: Iterable[Segmentation]) -> dict[str, Any]:
    """Results as COCO's JSON has them, with `score` of each annotation; failed ones are left out.

    Args:
        results: of one or more images or sequences, found with the same prompts.

    Returns:
        `images` (`file_name` is the key; of a frame its address), `annotations` (`bbox` x, y,
        width, height in pixels; `segmentation` compressed run lengths) and `categories`. Ids are
        numbers from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    for result in results:
        categories |= {name: number for number, name in enumerate(result.concepts, start=1)}
        frames = result.images
        names = (
            frames.uris if isinstance(frames, (Frames, VideoFrames)) else [result.key] * len(frames)
        )
        first = len(images) + 1
        for name, image in zip(names, frames, strict=True):
            height, width = image.shape[:2]
            images.append(
                {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
            )
        for each in result.objects:
            stored = each.record()
            wanted = ("category_id", "bbox", "area", "iscrowd", "segmentation", "score")
            ids = {"id": len(annotations) + 1, "image_id": first + each.frame}
            annotations.append(ids | {name: stored[name] for name in wanted})
    listed = [{"id": number, "name": name} for name, number in categories.items()]
    return {"images": images, "annotations": annotations, "categories": listed}


def _corners(objects: Sequence[Object]) -> npt.NDArray[np.float32]:
    """(n, 4): x0, y0, x1, y1 in pixels."""
    boxes = np.array([each.bbox for each in objects], np.float32).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
