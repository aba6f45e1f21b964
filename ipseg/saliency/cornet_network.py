"""The saliency network `cornet`: stage 2 of TSDN, the CVPR 2023 method behind A2S-v2.

Source: Zhou et al., "Texture-guided Saliency Distilling for Unsupervised Salient Object Detection",
CVPR 2023. Layer and parameter names are those of the released checkpoint `cornet_rgb_duts_tr.pth`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50  # type: ignore[import-untyped]

INPUT_SIDE = 320
_LEVELS = (64, 256, 512, 1024, 2048)  # channels of the encoder's outputs, fine to coarse
_WIDTH = 64


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


def _block(channels_in: int, channels_out: int, groups: int) -> list[nn.Module]:
    return [
        _conv(channels_in, channels_out),
        nn.GroupNorm(groups, channels_out),
        nn.ReLU(inplace=True),
    ]


class InfoBlock(nn.Module):
    """Fuses two neighbouring levels, each gated by its difference from a global map."""

    def __init__(self) -> None:
        super().__init__()
        self.gconv = nn.Sequential(*_block(_WIDTH, _WIDTH, groups=32))
        self.res_conv1 = _conv(_WIDTH, _WIDTH)
        self.res_conv2 = _conv(_WIDTH, _WIDTH)
        self.fuse = _conv(3 * _WIDTH, _WIDTH)

    def forward(self, fine: Tensor, coarse: Tensor, overall: Tensor) -> Tensor:
        """(n, 64, h, w) finer level, (n, 64, ., .) coarser and global -> (n, 64, h, w)."""
        overall = _resize(self.gconv(overall), fine)
        coarse = _resize(coarse, fine)
        gated_fine = fine * torch.sigmoid(self.res_conv1(fine - overall))
        gated_coarse = coarse * torch.sigmoid(self.res_conv2(coarse - overall))
        fused: Tensor = self.fuse(torch.cat([gated_fine, gated_coarse, overall], dim=1))
        return fused


class CorNetDecoder(nn.Module):
    """From five encoder levels to one logit: region features times outline features."""

    def __init__(self) -> None:
        super().__init__()
        for level, channels in enumerate(_LEVELS):
            self.add_module(f"adapter{level}", nn.Sequential(*_block(channels, _WIDTH, groups=32)))
        self.region = InfoBlock()
        self.local = InfoBlock()
        self.gb_conv = nn.Sequential(
            *_block(_WIDTH, 2 * _WIDTH, groups=64),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            *_block(2 * _WIDTH, _WIDTH, groups=32),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels x0 ... x4, x0 at half the size of the input -> (n, 1, h, w) logit, size of x0."""
        x0, x1, x2, x3, x4 = (
            self.get_submodule(f"adapter{level}")(features) for level, features in enumerate(levels)
        )
        region = self.region(x2, x3, x4)
        local = self.local(x0, x1, self.gb_conv(x4))
        return (local * _resize(region, local)).sum(dim=1, keepdim=True)


class CorNet(nn.Module):
    """ResNet-50 encoder and decoder: 368 tensors, 28.4 M parameters, 32 GFLOP for one image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = resnet50(weights=None)
        self.decoder = CorNetDecoder()

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, 320, 320) normalised RGB -> (n, 1, 320, 320) logit, positive on the object."""
        encoder = self.encoder
        x0 = encoder.relu(encoder.bn1(encoder.conv1(pixels)))
        x1 = encoder.layer1(encoder.maxpool(x0))
        x2 = encoder.layer2(x1)
        x3 = encoder.layer3(x2)
        x4 = encoder.layer4(x3)
        return _resize(self.decoder([x0, x1, x2, x3, x4]), pixels)
