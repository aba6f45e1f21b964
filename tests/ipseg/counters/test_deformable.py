"""The convolution in plain PyTorch against torchvision's operator, and against an ordinary one."""

import pytest
import torch
from torch.nn import functional

from ipseg.counters.deformable import deformable_convolution, in_plain_torch


def case(groups, kernels, dilation, seed):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=random)

    maps = normal(1, 16, 23, 17)
    offsets = 3 * normal(1, groups * 18, 23, 17)  # many leave the map
    modulation = normal(1, groups * 9, 23, 17).softmax(dim=1)
    return maps, offsets, modulation, normal(6, 16 // kernels, 3, 3), dilation


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("kernels", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_both_ways_are_the_same_to_1e_5(groups, kernels, dilation):
    given = case(groups, kernels, dilation, seed=groups + kernels)
    compiled, plain = deformable_convolution(*given), in_plain_torch(*given)
    assert compiled.abs().mean() > 0.05
    torch.testing.assert_close(plain, compiled, rtol=0, atol=1e-5)


def test_offsets_on_whole_cells_beyond_the_border_are_the_same():
    maps, offsets, *rest = case(8, 2, 1, seed=3)
    given = (maps, (5 * offsets).round(), *rest)
    torch.testing.assert_close(
        in_plain_torch(*given), deformable_convolution(*given), rtol=0, atol=1e-5
    )


def test_without_offsets_it_is_an_ordinary_convolution():
    maps, offsets, modulation, kernel, _ = case(8, 2, 2, seed=5)
    found = in_plain_torch(maps, 0 * offsets, torch.ones_like(modulation), kernel, 2)
    wanted = functional.conv2d(maps, kernel, padding=2, dilation=2, groups=2)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
