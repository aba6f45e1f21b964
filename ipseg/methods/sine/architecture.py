"""The trained part of SINE: its network, and its sizes from the shapes of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ipseg.errors import WeightsError
from ipseg.methods.sine.layers import HEADS, neck
from ipseg.methods.sine.mformer import MFormer

ENCODER = "image_encoder.encoder."  # DINOv2, with its own names; not in every file
_TRAINING = "criterion."  # of no use here
_DECODER = "transformer_decoder."


class ImageEncoder(nn.Module):
    """What was trained of the image encoder: the neck behind DINOv2."""

    def __init__(self, encoder_width: int, width: int) -> None:
        super().__init__()
        self.neck = neck(encoder_width, width)


class Sine(nn.Module):
    """All that was trained, with the names of the released tensors."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(sizes.encoder, sizes.width)
        self.transformer_decoder = MFormer(
            sizes.width, sizes.hidden, sizes.between, sizes.queries, sizes.layers
        )


@dataclass(frozen=True)
class Sizes:
    """What SINEs differ in; the defaults are those of the release.

    Attributes:
        encoder: channels of DINOv2.
        width: channels of the M-Former.
        hidden: units of its feed-forward parts.
        between: channels on the way to the mask features.
        queries: learned instance tokens.
        layers: of the decoder.
    """

    encoder: int = 1024
    width: int = 256
    hidden: int = 2048
    between: int = 128
    queries: int = 200
    layers: int = 6

    def build(self) -> Sine:
        """The network; with `torch.device("meta")` it costs no memory."""
        return Sine(self)


RELEASED = Sizes()
# Size -> tensors and the axis in which they have it; what most of them say counts.
_WHERE: dict[str, dict[str, int]] = {
    "width": {
        f"{_DECODER}decoder_norm.weight": 0,
        f"{_DECODER}decoder_norm.bias": 0,
        f"{_DECODER}id_class_embed.weight": 1,
        f"{_DECODER}neg_class_embed.weight": 1,
        "image_encoder.neck.1.weight": 0,
    },
    "hidden": {
        f"{_DECODER}fusion_layers.0.transformer_ffn_layer.linear1.weight": 0,
        f"{_DECODER}fusion_layers.0.transformer_ffn_layer.linear1.bias": 0,
        f"{_DECODER}fusion_layers.0.transformer_ffn_layer.linear2.weight": 1,
    },
    "between": {
        f"{_DECODER}mask_feat_layer.0.bias": 0,
        f"{_DECODER}mask_feat_layer.1.weight": 0,
        f"{_DECODER}mask_feat_layer.1.bias": 0,
    },
    "queries": {f"{_DECODER}query_feat.weight": 0, f"{_DECODER}query_embed.weight": 0},
}


def trained(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file without DINOv2's and those of the training's losses."""
    return {k: v for k, v in state.items() if not k.startswith((ENCODER, _TRAINING))}


def own_encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's tensors in a file, by their released names; none where it is not in it."""
    return {k.removeprefix(ENCODER): v for k, v in state.items() if k.startswith(ENCODER)}


def recognise(state: Mapping[str, Tensor], layers: int, encoder: int, path: str | Path) -> Sizes:
    """The sizes of a SINE from the shapes of its tensors.

    A tensor that is missing or cut does not lead astray: the others say what it should be.

    Args:
        state: of the file.
        layers: that the decoder must have.
        encoder: channels of the DINOv2 that it is used with.
        path: of the file.

    Raises:
        WeightsError: this is no SINE; names the file.
    """
    for names in _WHERE.values():
        _check_twins(state, names, path)
    sizes = {name: _most(state, where, getattr(RELEASED, name)) for name, where in _WHERE.items()}
    if unknown := [name for name, size in sizes.items() if size is None]:
        missing = next(iter(_WHERE[unknown[0]]))
        raise WeightsError(
            f"weights file {path} is not of SINE: it has no {missing}. Name the right file in the "
            f"setting `network.weights`: the released pytorch_model.bin"
        )
    found = Sizes(encoder=encoder, layers=layers, **sizes)  # type: ignore[arg-type]
    if found.width % HEADS:
        raise WeightsError(
            f"weights file {path} is not of SINE: {found.width} channels are not a multiple of its "
            f"{HEADS} heads"
        )
    return found


def _most(state: Mapping[str, Tensor], where: Mapping[str, int], released: int) -> int | None:
    """What most tensors say of a size; of several the released one. None: they all lack."""
    seen = Counter(
        state[name].shape[axis]
        for name, axis in where.items()
        if name in state and state[name].dim() > axis
    )
    return max(seen, key=lambda size: (seen[size], size == released), default=None)


def _check_twins(state: Mapping[str, Tensor], where: Mapping[str, int], path: str | Path) -> None:
    """Refuses two tensors of which only each other says what their size should be."""
    seen = [(name, tuple(state[name].shape)) for name in where if name in state]
    if len(where) == 2 and len(seen) == 2 and seen[0][1] != seen[1][1]:
        listed = " but ".join(
            f"{name} {shape} instead of {other}"
            for (name, shape), (_, other) in zip(seen, seen[::-1], strict=True)
        )
        raise WeightsError(f"weights file {path} is damaged: {listed}; get it again")


def on_meta(sizes: Sizes) -> Sine:
    """The network without memory for its weights."""
    with torch.device("meta"):  # skips the initialisation
        return sizes.build()
