"""The network of DSALVANet: few-shot counting by dynamic kernels cut out of the image itself.

Source: the public description and the released checkpoint of DSALVANet (`checkpoint_200.pth`); the
names of modules are those of its tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck, ResNet  # type: ignore[import-untyped]

from ipseg.counters.deformable import deformable_convolution

STRIDE = 4  # pixels of a cell
SHOTS = 3  # exemplars
_STAGES = (256, 512, 1024)  # channels of the first three stages of a ResNet with bottlenecks
_CROP = 3  # cells along an exemplar's crop
_HALVES = 2  # groups of channels that a kernel acts on
_DILATIONS = (1, 2, 4)
_OFFSET_GROUPS = 8
_MAPS = SHOTS * _HALVES * (1 + len(_DILATIONS))  # 24 similarity maps

Cells = Sequence[tuple[int, int, int, int]]  # rows and columns of exemplars: y0, x0, y1, x1, ends


@dataclass(frozen=True)
class Architecture:
    """The sizes in which networks of this form can differ.

    Attributes:
        width: channels of the blocks; a multiple of 16.
        blocks: number of blocks.
        layers: bottlenecks in each of the ResNet's four stages.
        base: inner channels of the first stage.
    """

    width: int = 256
    blocks: int = 4
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    base: int = 64

    @staticmethod
    def of(state: Mapping[str, Tensor]) -> Architecture:
        """Read off a state dict.

        Raises:
            KeyError: it is of another network.
        """

        def count(prefix: str) -> int:
            return len({k[len(prefix) :].split(".")[0] for k in state if k.startswith(prefix)})

        first, second, third, fourth = (count(f"backbone.layer{n}.") for n in (1, 2, 3, 4))
        return Architecture(
            width=state["in_conv.weight"].shape[0],
            blocks=count("dsam_blocks.dsam_blocks."),
            layers=(first, second, third, fourth),
            base=state["backbone.layer1.0.conv1.weight"].shape[0],
        )


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (n, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Backbone(nn.Module):
    """A ResNet's first three stages on one grid.

    The released checkpoint has the ResNet twice: as a whole and by stages. Here both are the same
    modules, so its tensors are held once.
    """

    def __init__(self, layers: Sequence[int], base: int) -> None:
        super().__init__()
        resnet = ResNet(Bottleneck, list(layers), width_per_group=base)
        self.resnet: nn.Module | None = resnet
        self.layer0 = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.layer1 = resnet.layer1
        self.layer2 = resnet.layer2
        self.layer3 = resnet.layer3
        self.layer4: nn.Module | None = resnet.layer4

    def keep_what_is_used(self) -> None:
        """Frees the fourth stage and the classifier, which no count depends on."""
        self.resnet = self.layer4 = None

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, s, s) normalised RGB -> (n, 1792, s / 4, s / 4)."""
        stages = [self.layer1(self.layer0(pixels))]
        stages.append(self.layer2(stages[-1]))
        stages.append(self.layer3(stages[-1]))
        grid = stages[0].shape[-2:]
        finer = [
            functional.interpolate(each, grid, mode="bilinear", align_corners=False)
            for each in stages[1:]
        ]
        return torch.cat([stages[0], *finer], dim=1)


class DynamicConvolution(nn.Module):
    """Offsets and modulation from the map itself; the kernels come from outside."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        taps = _OFFSET_GROUPS * _CROP**2
        self.conv_offset = nn.Conv2d(width, 2 * taps, 3, padding=1)
        self.conv_mask = nn.Conv2d(width, taps, 3, padding=1)

    def forward(self, maps: Tensor, kernels: Tensor) -> Tensor:
        """(1, c, h, w) and (m, c / 2, 3, 3) -> (1, m, h, w)."""
        modulation = self.conv_mask(maps).softmax(dim=1)  # over the taps of all groups
        return deformable_convolution(
            maps, self.conv_offset(maps), modulation, kernels, self.dilation
        )


class Similarity(nn.Module):
    """Similarity of every place with the exemplars, at several distances."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.in_conv = nn.Conv2d(width, width, 1)
        self.out_conv = nn.Conv2d(_MAPS, width, 1)
        for dilation in _DILATIONS:
            self.add_module(f"mdm_d{dilation}", DynamicConvolution(width, dilation))

    def maps(self, x: Tensor, crops: Tensor) -> Tensor:
        """(1, c, h, w) and (3, c, 3, 3) -> (1, 24, h, w)."""
        x, crops = self.norm(self.in_conv(x)), self.norm(self.in_conv(crops))
        found = [functional.conv2d(x, _kernels(crops.amax((2, 3), keepdim=True)), groups=_HALVES)]
        for dilation in _DILATIONS:
            found.append(self.get_submodule(f"mdm_d{dilation}")(x, _kernels(crops)))
        return torch.cat(found, dim=1)

    def forward(self, x: Tensor, crops: Tensor) -> Tensor:
        """(1, c, h, w) and (3, c, 3, 3) -> (1, c, h, w)."""
        return self.out_conv(self.maps(x, crops))


def _kernels(crops: Tensor) -> Tensor:
    """(3, c, k, k) -> (6, c / 2, k, k): the halves of each exemplar, one after the other.

    In two groups the first three act on the first half of the channels, so most of them compare a
    half with the other one. The network was trained so.
    """
    return crops.reshape(-1, crops.shape[1] // _HALVES, *crops.shape[2:])


class Block(nn.Module):
    """What is similar to the exemplars is brought out, then looked at in its neighbourhood."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.similarity_cal = Similarity(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = ChannelNorm(width)
        self.norm2 = ChannelNorm(width)

    def forward(self, x: Tensor, exemplars: Cells) -> Tensor:
        """(1, c, h, w) -> the same shape."""
        x = self.norm1(x + self.similarity_cal(x, cropped(x, exemplars)))
        around = self.conv2(functional.leaky_relu(self.conv1(x)))
        return self.norm2(x + around)


def cropped(x: Tensor, exemplars: Cells) -> Tensor:
    """Cells of the exemplars in (1, c, h, w), the largest values on a 3 x 3 grid: (n, c, 3, 3)."""
    return torch.cat(
        [
            functional.adaptive_max_pool2d(x[:, :, y0:y1, x0:x1], _CROP)
            for y0, x0, y1, x1 in exemplars
        ]
    )


class Blocks(nn.Module):
    """All blocks, one after the other."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.dsam_blocks = nn.ModuleList(Block(width) for _ in range(count))

    def forward(self, x: Tensor, exemplars: Cells) -> Tensor:
        """(1, c, h, w) -> the same shape."""
        for block in self.dsam_blocks:
            x = block(x, exemplars)
        return x


class LocalVariation(nn.Module):
    """A latent distribution of features at each place (LVAM)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.ln1 = ChannelNorm(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.ln2 = ChannelNorm(2 * width)
        self.mu = nn.Conv2d(2 * width, width, 1)
        self.ln_mu = ChannelNorm(width)
        self.logvar = nn.Conv2d(2 * width, width, 1)
        self.ln_logvar = ChannelNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(1, c, h, w) -> mean and log variance, each of the same shape."""
        x = functional.leaky_relu(self.ln1(self.conv1(x)))
        x = functional.leaky_relu(self.ln2(self.conv2(x)))
        mean = functional.leaky_relu(self.ln_mu(self.mu(x)))
        return mean, functional.leaky_relu(self.ln_logvar(self.logvar(x)))


class Regressor(nn.Module):
    """From features to a density four times as fine."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.regressor = nn.Sequential(
            nn.Conv2d(width, width // 2, 5, padding=2),
            nn.LeakyReLU(),
            nn.UpsamplingBilinear2d(scale_factor=2),  # with aligned corners
            nn.Conv2d(width // 2, width // 4, 3, padding=1),
            nn.LeakyReLU(),
            nn.UpsamplingBilinear2d(scale_factor=2),
            nn.Conv2d(width // 4, width // 8, 1),
            nn.LeakyReLU(),
            nn.Conv2d(width // 8, 1, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(1, c, h, w) -> (1, 1, 4 h, 4 w) >= 0."""
        return self.regressor(x)


class DSALVANetwork(nn.Module):
    """768 tensors, 41.7 million parameters as released."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        sizes = architecture or Architecture()
        self.backbone = Backbone(sizes.layers, sizes.base)
        self.in_conv = nn.Conv2d(sum(_STAGES), sizes.width, 1)
        self.dsam_blocks = Blocks(sizes.width, sizes.blocks)
        self.lvam = LocalVariation(sizes.width)
        self.count_regressor = Regressor(sizes.width)

    def encode(self, pixels: Tensor) -> Tensor:
        """(n, 3, s, s) normalised RGB -> (n, c, s / 4, s / 4)."""
        return self.in_conv(self.backbone(pixels))

    def forward(self, features: Tensor, exemplars: Cells, noise: Tensor | None = None) -> Tensor:
        """How many objects there are at each place.

        Args:
            features: (1, c, h, w) of the image, from `encode`.
            exemplars: three.
            noise: (1, c, h, w) standard normal, by which the latent features vary around their
                mean, as in training; None takes the mean.

        Returns:
            (4 h, 4 w) >= 0.
        """
        mean, log_variance = self.lvam(self.dsam_blocks(features, exemplars))
        latent = mean if noise is None else mean + noise * (log_variance / 2).exp()
        return self.count_regressor(latent)[0, 0]
