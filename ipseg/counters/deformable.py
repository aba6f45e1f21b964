"""Modulated deformable convolution (Zhu et al., CVPR 2019), compiled or in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.extension import _has_ops  # type: ignore[import-untyped]
from torchvision.ops import deform_conv2d  # type: ignore[import-untyped]

_COMPILED_FOR = ("cpu", "cuda")  # devices that torchvision has the operator for


def deformable_convolution(
    maps: Tensor, offsets: Tensor, modulation: Tensor, kernel: Tensor, dilation: int
) -> Tensor:
    """A convolution whose taps are moved and weighted at each place; the size stays.

    Args:
        maps: (1, c, h, w) float32.
        offsets: (1, 2 g k k, h, w) in cells: y, then x, of each tap of each of g groups of
            channels.
        modulation: (1, g k k, h, w), weight of each tap.
        kernel: (m, c / q, k, k) for q groups of channels, k odd.
        dilation: between taps, cells.

    Returns:
        (1, m, h, w), by torchvision's operator where it has one for the device.
    """
    if maps.device.type in _COMPILED_FOR and _has_ops():
        padding = dilation * (kernel.shape[-1] // 2)
        return deform_conv2d(
            maps, offsets, kernel, padding=padding, dilation=dilation, mask=modulation
        )
    return in_plain_torch(maps, offsets, modulation, kernel, dilation)


def in_plain_torch(
    maps: Tensor, offsets: Tensor, modulation: Tensor, kernel: Tensor, dilation: int
) -> Tensor:
    """The same without a compiled operator: tap by tap, in the memory of one tap."""
    height, width = maps.shape[-2:]
    side = kernel.shape[-1]
    groups = modulation.shape[1] // side**2
    moved = offsets.view(groups, side**2, 2, height, width)
    weights = modulation.view(groups, side**2, 1, height * width)
    flat = maps.view(groups, -1, height * width)
    y = torch.arange(height, device=maps.device, dtype=maps.dtype)[:, None]
    x = torch.arange(width, device=maps.device, dtype=maps.dtype)
    found = maps.new_zeros(1, kernel.shape[0], height, width)
    for tap in range(side**2):
        row, column = (dilation * (index - side // 2) for index in divmod(tap, side))
        sampled = _sampled(
            flat, y + row + moved[:, tap, 0], x + column + moved[:, tap, 1], height, width
        )
        found += functional.conv2d(
            (sampled * weights[:, tap]).view_as(maps),
            kernel[:, :, tap // side, tap % side, None, None],
            groups=maps.shape[1] // kernel.shape[1],
        )
    return found


def _sampled(flat: Tensor, y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear samples, zero beyond the border.

    Not `grid_sample`: its coordinates from -1 to 1 lose the last digits of an offset.

    Args:
        flat: (g, c, h w).
        y: (g, h, w) rows, any number.
        x: (g, h, w) columns.
        height: h.
        width: w.

    Returns:
        (g, c, h w).
    """
    top, left = y.floor(), x.floor()
    found = torch.zeros_like(flat)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at_y, at_x = top + row, left + column
        share = (1 - (y - at_y).abs()) * (1 - (x - at_x).abs())
        inside = (at_y >= 0) & (at_y < height) & (at_x >= 0) & (at_x < width)
        place = at_y.clamp(0, height - 1).long() * width + at_x.clamp(0, width - 1).long()
        index = place.flatten(1)[:, None].expand(-1, flat.shape[1], -1)
        found += flat.gather(2, index) * (share * inside).flatten(1)[:, None]
    return found
