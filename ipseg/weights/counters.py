"""Architectures of the released counters, and tiny versions of the same networks."""

from __future__ import annotations

from torch import nn

from ipseg.counters.countr_network import Architecture as CountrArchitecture
from ipseg.counters.countr_network import CounTRNetwork
from ipseg.counters.dsalvanet_network import Architecture as DsalvanetArchitecture
from ipseg.counters.dsalvanet_network import DSALVANetwork

# File -> the key under which it has its tensors.
COUNTER_FILES = {"checkpoint_200.pth": "state_dict", "FSC147.pth": "model"}


def counter(file: str, *, tiny: bool) -> nn.Module:
    """The network of a released file with its initial weights."""
    if file == "FSC147.pth":
        small = CountrArchitecture(6, 64, 1, 32, 1, (8, 8, 8), 8)
        return CounTRNetwork(small if tiny else CountrArchitecture())
    few = DsalvanetArchitecture(width=16, blocks=1, layers=(1, 1, 1, 1), base=8)
    return DSALVANetwork(few if tiny else DsalvanetArchitecture())
