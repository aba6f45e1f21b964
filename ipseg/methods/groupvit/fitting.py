"""Which name each pixel's group fits.

Source: GroupViT (Xu et al., CVPR 2022), facts about its released evaluation of segmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.methods.groupvit.network import Grouped, Window


def affinities(window: Window, texts: Tensor, scale: float, best: int) -> Tensor:
    """How well each group fits each name.

    Args:
        window: grouped.
        texts: (n, d) normalised, of the names.
        scale: of similarities.
        best: names that fit the whole window best, so many; the others fit no group.

    Returns:
        (g, n) in [0, 1]: the group's probabilities times those of the window.
    """
    of_window = scale * (texts @ window.whole)
    if best < len(of_window):
        least = of_window.topk(best).values[-1]
        of_window = of_window.masked_fill(of_window < least, float("-inf"))
    of_groups = (scale * (window.groups @ texts.T)).softmax(dim=1)
    return of_groups * of_window.softmax(dim=0)


def fitting(image: Grouped, texts: Tensor, scale: float, best: int, background: float) -> Tensor:
    """How well each pixel fits no name, and each name.

    Args:
        image: grouped.
        texts: (n, d) normalised, of the names.
        scale: of similarities.
        best: see `affinities`.
        background: pixels whose best name fits less fit no name; no more than the best fit of any
            group is asked for.

    Returns:
        (1 + n, h, w) float32 over the resized image, the mean of the windows that see a pixel;
        "no name" comes first.
    """
    total = texts.new_zeros(1 + len(texts), *image.resized)
    seen = texts.new_zeros(image.resized)
    for window in image.windows:
        fits = affinities(window, texts, scale, best)
        fullest = fits.amax(dim=1)
        nameless = (fullest < min(background, float(fits.max()))).to(fits.dtype)
        every = torch.cat([nameless[:, None], fits], dim=1)
        height, width = window.group_of.shape
        place = (
            slice(window.top, window.top + height),
            slice(window.left, window.left + width),
        )
        total[:, *place] += every[window.group_of].permute(2, 0, 1)
        seen[place] += 1
    return total / seen


def owners(fits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The best of several maps at each pixel of the image.

    Args:
        fits: (m, h, w), at least one.
        size: rows and columns of the image; maps are enlarged one by one, as many at that size
            take much memory.

    Returns:
        (H, W) index of the best map, the first of equal ones; (H, W) float32 its value.
    """
    owner = torch.zeros(size, dtype=torch.int32, device=fits.device)
    best = enlarged(fits[0], size)
    for number, plane in enumerate(fits[1:], start=1):
        value = enlarged(plane, size)
        owner[value > best] = number
        best = torch.maximum(best, value)
    return owner, best


def enlarged(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) -> (H, W), bilinear."""
    return functional.interpolate(plane[None, None], size, mode="bilinear", align_corners=False)[
        0, 0
    ]
