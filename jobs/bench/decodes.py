"""Operations of a segmenter in methods that ask it in ways of their own."""

from __future__ import annotations

from math import comb
from typing import Any

from ipseg.methods.grounded_sam.method import GroundedSamMethod
from ipseg.methods.matcher.method import MatcherMethod
from ipseg.methods.matcher.sampling import FEW
from ipseg.methods.matcher.settings import Sampling
from ipseg.methods.no_time_to_train.method import NoTimeToTrain
from ipseg.methods.persam.method import PerSAMMethod
from ipseg.segmenters.promptable import PromptableNetwork
from jobs.bench.counting import Counted, decoding, encoding
from jobs.bench.flops import DECODER, ENCODER, count_segmenter, of_published_size


def segmented(segmenter: PromptableNetwork, method: Any) -> Counted:  # noqa: ANN401
    """The encoder, and the decoder as often as the method asks it.

    Where that depends on the image, one prompt is given among what is left out.
    """
    if isinstance(method, PerSAMMethod):
        image, concept = count_segmenter(segmenter, 1, 3)
        return Counted({ENCODER: image}, {DECODER: concept})
    sized = of_published_size(segmenter)
    image, features = encoding(sized)
    found = {ENCODER: image}

    def once(points: int, *, box: bool = False) -> int:
        return decoding(sized, features, points, box=box, mask=False)

    if isinstance(method, NoTimeToTrain):
        found["mask decoder, grid"] = method.proposing.points_per_side**2 * once(1)
        return Counted(found)
    if isinstance(method, MatcherMethod):
        grid = method.proposals.grid
        if grid is not None:
            found["mask decoder, grid"] = grid.side**2 * once(1)
        asked = prompt_counts(method.sampling)
        concept = sum(n * once(size, box=method.sampling.box) for size, n in asked.items())
        note = f"mask decoder: {sum(asked.values())} prompts, the most that there can be"
        return Counted(found, {DECODER: concept}, notes=(note,))
    if isinstance(method, GroundedSamMethod):
        note = f"{DECODER}: {once(0, box=True) / 1e12:.4f} for each box that is found"
        return Counted(found, notes=(note,))
    return Counted(
        found, left_out=(f"{DECODER}: {once(1) / 1e12:.4f} for each prompt given to it",)
    )


def prompt_counts(sampling: Sampling) -> dict[int, int]:
    """Points of a set -> how many sets Matcher makes of them, if enough cells match."""
    points = sampling.centres
    few = points is not None and points <= FEW
    most = sampling.most if points is None else min(sampling.most, points)
    return {
        size: comb(points, size) if few and points is not None else sampling.subsets
        for size in range(min(sampling.least, most), most + 1)
    }
