"""What all images of a network have in common by position, and features without it.

Source: INSID3, released code: the features of an image without content, of which the first left
singular vectors are projected out of all others.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ipseg.errors import ConfigError
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.networks.dino import channels_of
from ipseg.networks.models import Models


def position_basis(black: Tensor, components: int) -> Tensor:
    """The directions in which features of an image without content differ most between cells.

    The left singular vectors of (c, n) are the eigenvectors of a (c, c) product: a second in place
    of half a minute for 768 channels and 4,096 cells.

    Args:
        black: (c, n, n) tokens of a black image.
        components: directions, fewer than c.

    Returns:
        (c, components) float32 orthonormal columns, on the device of `black`.
    """
    cells = functional.normalize(black.flatten(1), dim=0)
    centred = (cells - cells.mean(dim=1, keepdim=True)).cpu().double()
    vectors = torch.linalg.eigh(centred @ centred.T).eigenvectors  # ascending
    return vectors[:, -components:].float().to(black.device)


def debiased(features: Tensor, basis: Tensor) -> Tensor:
    """Features (n, c) without the directions of `basis` (c, k), as unit vectors."""
    return functional.normalize(features - (features @ basis) @ basis.T, dim=1)


def check_components(network: PatchEncoder, components: int, models: Models) -> None:
    """Refuses a basis that would leave nothing of the features, before the network is loaded.

    Raises:
        ConfigError: it would.
        WeightsError: the weights are missing or damaged.
    """
    _check(components, channels_of(models.locate(network.weights)), network.weights)


def _check(components: int, channels: int, weights: str) -> None:
    if components >= channels:
        raise ConfigError(
            f"components={components} projects out all {channels} channels of {weights}: what is "
            f"left of its features is rounding noise. Set components below {channels}, for example "
            f"half of them, {channels // 2}: the release takes 500 of 1,024"
        )


def basis_of(network: PatchEncoder, components: int) -> Tensor:
    """`position_basis` of a loaded network; computed once.

    Raises:
        ConfigError: nothing would be left of the features.
    """
    _check(components, network.channels, network.weights)
    return network.kept(
        ("positions", components), lambda: position_basis(network.of_black(), components)
    )
