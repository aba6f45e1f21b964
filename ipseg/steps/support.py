"""Which part of a prompt image is the object: a mask, a box, a point, or what stands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from ipseg.benchmarks.ground_truth import GroundTruth, ground_truth_at
from ipseg.errors import ConfigError, PromptError, SourceError
from ipseg.rows import Image, Map, Mask, Row
from ipseg.saliency import Saliency
from ipseg.saliency.weak import is_weak
from ipseg.segmenters import Segmenter
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import refine
from ipseg.steps.network_step import NetworkStep
from ipseg.vision.cut_out import read_cut_out
from ipseg.vision.images import MaskOrientation, encode_png
from ipseg.vision.orientation import cropped

SupportKind = Literal["mask", "saliency", "box", "point", "none"]
# An object smaller or larger than this share of its image is more often a saliency that caught a
# speck or the background than a prompt somebody meant.
USUAL_AREA = (0.01, 0.9)
_BEFORE_ALPHA = ("given_box", "given_points", "ground_truth")  # whatever an image's alpha says
_TURNED = "its mask is of the stored pixels, and was turned as the image is (EXIF orientation)"


@dataclass(frozen=True)
class Support:
    """How the object of a prompt image is found: the `-Z` settings of any method.

    Attributes:
        kind: `saliency` takes the mask, box or point that lies beside a prompt, the opaque part of
            one that was cut out (its alpha varies), or else what stands out. `mask` refuses a
            prompt without a mask or such a part. `box` and `point` go through the segmenter; where
            a prompt has a mask instead, they take its bounding box, or the point farthest from its
            border. `none` takes the whole image.
        saliency: finds what stands out.
        segmenter: turns boxes and points into masks; the method's own where it is left out.
        threshold: above it a saliency is object, and the rest is not. None leaves it as soft as it
            is found: methods that compare with a mask take what is above one half, others weigh by
            it. How Matcher-Z has it is not published.
    """

    kind: SupportKind = "saliency"
    saliency: Saliency | None = None
    segmenter: Segmenter | None = None
    threshold: Annotated[float, Field(ge=0, lt=1)] | None = None

    def step(
        self, own: Segmenter | None, *, drawn: bool, mask_orientation: MaskOrientation = "auto"
    ) -> FindSupport:
        """The step that does it.

        Args:
            own: segmenter of the method, if it has one.
            drawn: some prompts come with a box or points of their own.
            mask_orientation: as in `ipseg.vision.images.ImageLimits`.

        Raises:
            ConfigError: a part that the kind needs is not set.
        """
        segmenter = self.segmenter or own
        if self.kind == "saliency" and self.saliency is None:
            raise ConfigError(
                "support 'saliency' needs a saliency model: set support.saliency.kind, or "
                "support.kind=mask"
            )
        if self.kind in ("box", "point") and segmenter is None:
            raise ConfigError(
                f"support '{self.kind}' needs a segmenter, and the method has none: set "
                f"support.segmenter.kind"
            )
        if self.kind == "box" and segmenter is not None and not segmenter.takes_boxes:
            raise ConfigError(
                f"support 'box' needs a segmenter that takes boxes, which "
                f"{type(segmenter).__name__} does not: set support.segmenter.kind, or take "
                f"support.kind=point"
            )
        return FindSupport(
            kind=self.kind,
            saliency=self.saliency if self.kind == "saliency" else None,
            threshold=self.threshold if self.kind == "saliency" else None,
            segmenter=segmenter if drawn or self.kind in ("box", "point") else None,
            mask_orientation=mask_orientation,
        )


@dataclass
class FindSupport(NetworkStep):
    """Finds the object of a prompt image.

    Attributes:
        kind: see `Support`.
        saliency: for kind `saliency`.
        threshold: of a saliency, see `Support`.
        segmenter: for boxes and points; None refuses them.
        mask_orientation: as in `ipseg.vision.images.ImageLimits`.
    """

    kind: SupportKind
    saliency: Saliency | None = None
    threshold: float | None = None
    segmenter: Segmenter | None = None
    mask_orientation: MaskOrientation = "auto"

    name: ClassVar[str] = "support"
    requires: ClassVar[tuple[str, ...]] = ("image",)
    provides: ClassVar[tuple[str, ...]] = ("support_mask", "mask_source", "warning")
    uses: ClassVar[tuple[str, ...]] = (
        *("uri", "image_bytes", "crop", "orientation"),
        *("given_mask", "given_box", "given_points", "ground_truth"),
    )

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Adds the mask as an 8-bit PNG, where it comes from, and a warning or None.

        Raises:
            PromptError: there is no object, or what is given does not fit the image.
        """
        return [self._find(row) for row in rows]

    def _find(self, row: Row) -> Row:
        mask, source, turned = self._mask(row)
        if not mask.any():
            raise PromptError(f"the mask of {row['uri']} is empty: no pixel is object")
        return {
            **row,
            "support_mask": encode_png(np.round(mask * 255).astype(np.uint8)),
            "mask_source": source,
            "warning": turned or (_warning(mask) if source != "none" else None),
        }

    def _mask(self, row: Row) -> tuple[Map, str, str | None]:
        """(H, W) float32 in [0, 1], its source, and a note where a mask file was turned."""
        image = row["image"]
        if self.kind == "none":
            return np.ones(image.shape[:2], np.float32), "none", None
        given = row.get("given_mask")
        if self.kind != "saliency":
            given = given or row.get("ground_truth")
        if self.kind in ("mask", "saliency"):
            if truth := self._truth(row, given):
                source = "mask" if given else "alpha"
                return truth.mask.astype(np.float32), source, _TURNED if truth.turned else None
            if self.kind == "mask":
                raise PromptError(_lacks(row, "mask"))
        if box := self._from(row, "given_box", "box", given, box_of):
            no_points = np.zeros((0, 2), np.float32), np.zeros(0, np.int8)
            prompt = PointPrompt(*no_points, np.array(box, np.float64))
            return self._prompted(image, prompt), "box", None
        if points := self._from(row, "given_points", "point", given, innermost):
            coords = np.array([(p["x"], p["y"]) for p in points], np.float32)
            labels = np.array([p["label"] for p in points], np.int8)
            return self._prompted(image, PointPrompt(coords, labels)), "point", None
        if self.saliency is None:
            raise PromptError(_lacks(row, self.kind))
        found = self.saliency.isolate(image)
        if self.threshold is None:
            return found, "saliency", None
        if not (inside := found > self.threshold).any():
            raise PromptError(
                f"nothing of {row['uri']} stands out by more than {self.threshold:g} "
                f"({found.max():.2f} at most): lower support.threshold, or give a mask"
            )
        return inside.astype(np.float32), "saliency", None

    def _truth(self, row: Row, given: str | None) -> GroundTruth | None:
        """The mask that a prompt comes with: at an address, or in its own alpha."""
        if given:
            return read_support(given, row, self.mask_orientation)
        if row.get("image_bytes") is None or any(row.get(name) for name in _BEFORE_ALPHA):
            return None
        alpha = read_cut_out(row["image_bytes"])
        if alpha is None:
            return None
        return GroundTruth(cropped(alpha, row.get("crop"), row.get("orientation", 1)))

    def _from(
        self, row: Row, column: str, kind: str, given: str | None, derive: Callable[[Mask], Any]
    ) -> Any:  # noqa: ANN401  (a box or points)
        """The row's own box or points, or those of its mask if the kind asks for them."""
        if row.get(column) and self.kind in ("saliency", kind):
            _check_inside(row[column], kind, row)
            return row[column]
        truth = self._truth(row, given) if self.kind == kind else None
        return None if truth is None else derive(truth.mask)

    def _prompted(self, image: Image, prompt: PointPrompt) -> Map:
        if self.segmenter is None:
            raise PromptError(
                "a box or a point needs a segmenter, and the method has none: set "
                "support.segmenter.kind, or give a mask"
            )
        if prompt.box is not None and not self.segmenter.takes_boxes:
            raise PromptError(
                f"a box needs a segmenter that takes boxes, which "
                f"{type(self.segmenter).__name__} does not: set support.segmenter.kind, or give "
                f"points or a mask"
            )
        (decoded,) = refine(self.segmenter, self.segmenter.encode([image])[0], [prompt])
        return decoded.masks[0].astype(np.float32)


def check_given(row: Row, kind: SupportKind, read: Callable[[str], bytes]) -> None:
    """Refuses a prompt without what its kind of support asks for, before any network is loaded.

    Args:
        row: of the prompt, as listed.
        kind: of support.
        read: gives the bytes at an address; asked for the image where its alpha may be a mask.

    Raises:
        PromptError: it has none; says what to do.
    """
    asked = {"mask": [], "box": ["given_box"], "point": ["given_points"]}.get(kind)
    if asked is None or any(row.get(n) for n in ("given_mask", "ground_truth", *asked)):
        return
    if any(row.get(n) for n in _BEFORE_ALPHA) or read_cut_out(read(row["uri"])) is None:
        raise PromptError(_lacks(row, kind))


def _lacks(row: Row, kind: SupportKind) -> str:
    if kind == "mask":
        return (
            f"prompt {row['uri']} has no mask: put NAME.mask.png beside NAME.jpg (same size, "
            f"object non-zero), or choose another support.kind"
        )
    return (
        f"prompt {row['uri']} has no {kind}: put NAME.{kind}.json beside NAME.jpg, or give "
        f"--prompt-{kind}"
    )


def read_support(address: str, row: Row, rule: MaskOrientation) -> GroundTruth:
    """The mask of a prompt at an address, of the part of the image that counts.

    Args:
        address: as for `read_ground_truth`.
        row: with `image`, `uri`, and `crop` and `orientation` where there are such.
        rule: whether the mask is of the upright image or of its stored pixels.

    Raises:
        PromptError: it is empty, is no mask, or does not fit the image; names the file.
        OSError: it cannot be read.
    """
    height, width = row["image"].shape[:2]
    orientation = row.get("orientation", 1)
    try:
        truth = ground_truth_at(address, (width, height), row.get("crop"), orientation, rule)
    except SourceError as error:
        raise PromptError(str(error)) from error
    if not truth.mask.any():
        raise PromptError(f"the mask of {row['uri']} is empty: no pixel is object")
    return truth


def _check_inside(drawn: Any, kind: str, row: Row) -> None:  # noqa: ANN401  (a box or points)
    height, width = row["image"].shape[:2]
    places = [(drawn[0], drawn[1])] if kind == "box" else [(p["x"], p["y"]) for p in drawn]
    for x, y in places:
        if x >= width or y >= height:
            raise PromptError(
                f"a {kind} of {row['uri']} is at {x:g}, {y:g}, outside of its image of "
                f"{width}x{height} pixels"
            )


def box_of(mask: Mask) -> list[float]:
    """Bounding box x0, y0, x1, y1 of a (H, W) mask that is not empty, in pixels, ends included."""
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    return [float(v) for v in (columns[0], rows[0], columns[-1], rows[-1])]


def innermost(mask: Mask) -> list[dict[str, float]]:
    """The pixel of a (H, W) mask farthest from its border, as one point on the object."""
    padded = np.pad(mask.astype(np.uint8), 1)  # what touches the image's border has one there
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), mask.shape)
    return [{"x": float(x), "y": float(y), "label": 1}]


def _warning(mask: Map) -> str | None:
    if is_weak(mask):
        return "nothing stands out in this image; the object is a guess"
    share = float((mask > 0.5).mean())
    low, high = USUAL_AREA
    if share < low:
        return f"the object covers only {share:.1%} of the image"
    if share > high:
        return f"the object covers {share:.0%} of the image, so the background may be in it"
    return None
