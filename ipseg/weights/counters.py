"""Architectures of what counts and selects exemplars, and tiny versions of the same networks."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet  # type: ignore[import-untyped]

from ipseg.counters.countr_network import Architecture as CountrArchitecture
from ipseg.counters.countr_network import CounTRNetwork
from ipseg.counters.dsalvanet_network import Architecture as DsalvanetArchitecture
from ipseg.counters.dsalvanet_network import DSALVANetwork

RESNET_FILE = "resnet50-0676ba61.pth"
# File -> the key under which it has its tensors; None where they are all there is.
COUNTER_FILES = {"checkpoint_200.pth": "state_dict", "FSC147.pth": "model", RESNET_FILE: None}


def counter(file: str, *, tiny: bool) -> nn.Module:
    """The network of a released file with its initial weights."""
    if file == RESNET_FILE:
        layers, width = ([1, 1, 1, 1], 8) if tiny else ([3, 4, 6, 3], 64)
        return ResNet(Bottleneck, layers, width_per_group=width)
    if file == "FSC147.pth":
        small = CountrArchitecture(6, 64, 1, 32, 1, (8, 8, 8), 8)
        return CounTRNetwork(small if tiny else CountrArchitecture())
    few = DsalvanetArchitecture(width=16, blocks=1, layers=(1, 1, 1, 1), base=8)
    return DSALVANetwork(few if tiny else DsalvanetArchitecture())
