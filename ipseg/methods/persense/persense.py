"""PerSense's own settings.

Source: PerSense (Siddiqui et al., BMVC 2025) and PerSense++ (arXiv 2508.14660), facts about their
released code. Settings with the value `released` do as that code does; the others are without its
mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ipseg.methods.persense.exemplar import InitialPoint
from ipseg.methods.persense.feedback import Feedback
from ipseg.methods.persense.idm import InstanceDetection
from ipseg.methods.persense.ppsm import PointSelection

_GREY = {"released": 255, "fixed": 247}  # 247 / 2 is the mean that a cell has to be above


@dataclass(frozen=True)
class PerSense:
    """The method.

    Attributes:
        initial_point: of the first exemplar: `released` takes the middle of the best box that has
            the concept's name, `paper` the most similar pixel in it. Without a detector it is the
            most similar pixel of the image.
        first_exemplar: is what the `segmenter` grows from the initial point, or the place where the
            image is most like the `prompt`'s object, at any size, turned or mirrored: for copies
            of it.
        least_likeness: correlation with the prompt's object, less what is chance, from which a
            place is taken for one; where there is none, the status is "prompt not found". Copies
            have 0.71 to 0.96, other things seldom more than 0.66; less finds more look-alikes, and
            counts more images wrongly that hold none.
        turns: positions around the clock in which the prompt's object is looked for, and as many
            mirrored, where it is not found as it is; 1 does without, and saves about 3 s for each
            image in which it is not.
        attention_map: `released` stretches the map that guides the decoder over the padding of an
            image that is not square; `fixed` leaves it in its place.
        prototype_mask: a cell is of the example's object if half of it is (`fixed`), or 48.5 % of
            it as with the masks of PerSense-D (`released`).
        idm: how points are taken from a density.
        ppsm: which points are kept.
        feedback: which masks become exemplars of the second count.
        outline: of an instance: what the `segmenter` finds at its point, or the shape of the
            `exemplar`s in a box of its own, fitted to the image: for copies of one object, and
            counters that find them one by one (`correlation`).
        neighbours: the nearest other points, so many, are given as points off an instance when it
            is segmented; 0 as released.
        imrm: leaves masks out that are far larger than the usual ones and agree with no box of a
            single object, as PerSense++ does.
        nms: masks that overlap a better one of their concept by more (IoU) are left out; 1 keeps
            all, as released.
        density: keeps density maps in the rows, as images.
    """

    initial_point: InitialPoint = "paper"
    first_exemplar: Literal["segmenter", "prompt"] = "segmenter"
    least_likeness: Annotated[float, Field(ge=0, le=1)] = 0.66
    turns: Annotated[int, Field(ge=1)] = 24
    attention_map: Literal["released", "fixed"] = "fixed"
    prototype_mask: Literal["released", "fixed"] = "fixed"
    idm: InstanceDetection = field(default_factory=InstanceDetection)
    ppsm: PointSelection = field(default_factory=PointSelection)
    feedback: Feedback = field(default_factory=Feedback)
    outline: Literal["segmenter", "exemplar"] = "segmenter"
    neighbours: Annotated[int, Field(ge=0)] = 0
    imrm: bool = False
    nms: Annotated[float, Field(ge=0, le=1)] = 0.7
    density: bool = False

    @property
    def mask_value(self) -> int:
        """Grey of the example's object when its mask is brought to the features."""
        return _GREY[self.prototype_mask]
