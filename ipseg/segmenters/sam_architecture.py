"""The architecture of a SAM checkpoint, from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ipseg.errors import WeightsError

if TYPE_CHECKING:
    from segment_anything.modeling import Sam  # type: ignore[import-untyped]

DECODER_HEADS = 8  # the only number that no shape depends on; the same in all published SAMs


@dataclass(frozen=True)
class SamArchitecture:
    """The hyperparameters in which SAMs differ.

    Attributes:
        side: of the input square, pixels.
        patch: pixels along a patch.
        width: channels of the image encoder.
        depth: number of blocks.
        heads: number of attention heads.
        mlp: hidden units of a block.
        window: patches along an attention window; 0 if every block attends globally.
        global_blocks: indices of the blocks that attend globally.
        embed: channels of the image embedding and of the prompts.
        mask_channels: of the convolutions over a mask input.
        decoder_depth: two-way blocks of the mask decoder.
        decoder_mlp: hidden units of such a block.
        candidates: masks with `multimask`.
        iou_depth: layers of the head that predicts the IoU.
        iou_hidden: its hidden units.
    """

    side: int
    patch: int
    width: int
    depth: int
    heads: int
    mlp: int
    window: int
    global_blocks: tuple[int, ...]
    embed: int = 256
    mask_channels: int = 16
    decoder_depth: int = 2
    decoder_mlp: int = 2048
    candidates: int = 3
    iou_depth: int = 3
    iou_hidden: int = 256

    def build(self) -> Sam:
        """The network without weights, with parameters on 'meta'."""
        from segment_anything.modeling import (
            ImageEncoderViT,
            MaskDecoder,
            PromptEncoder,
            Sam,
            TwoWayTransformer,
        )

        grid = self.side // self.patch
        with torch.device("meta"):  # skips the initialisation
            encoder = ImageEncoderViT(
                img_size=self.side,
                patch_size=self.patch,
                embed_dim=self.width,
                depth=self.depth,
                num_heads=self.heads,
                mlp_ratio=self.mlp / self.width,
                out_chans=self.embed,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=self.window,
                global_attn_indexes=self.global_blocks,
            )
            prompts = PromptEncoder(
                embed_dim=self.embed,
                image_embedding_size=(grid, grid),
                input_image_size=(self.side, self.side),
                mask_in_chans=self.mask_channels,
            )
            decoder = MaskDecoder(
                transformer_dim=self.embed,
                transformer=TwoWayTransformer(
                    depth=self.decoder_depth,
                    embedding_dim=self.embed,
                    num_heads=DECODER_HEADS,
                    mlp_dim=self.decoder_mlp,
                ),
                num_multimask_outputs=self.candidates,
                iou_head_depth=self.iou_depth,
                iou_head_hidden_dim=self.iou_hidden,
            )
        return Sam(encoder, prompts, decoder)


def recognise(state: Mapping[str, Tensor], path: str | Path) -> SamArchitecture:
    """The architecture of a state dict in the released layout.

    Heads follow from the length of a relative position, windows and global blocks from the number
    of relative positions, so no configuration is needed, for ViT-B, -L and -H or smaller.

    Raises:
        WeightsError: this is not a SAM with a plain ViT encoder; names the file.
    """

    def count(prefix: str) -> int:
        return len(
            {key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)}
        )

    blocks = "image_encoder.blocks."
    try:
        _, grid, _, width = state["image_encoder.pos_embed"].shape
        patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
        depth = count(blocks)
        spans = [len(state[f"{blocks}{i}.attn.rel_pos_h"]) // 2 + 1 for i in range(depth)]
        windows = {span for span in spans if span != grid}
        head = state[f"{blocks}0.attn.rel_pos_h"].shape[1]
        decoder = "mask_decoder.transformer.layers."
        iou_head = "mask_decoder.iou_prediction_head.layers."
        found = SamArchitecture(
            side=grid * patch,
            patch=patch,
            width=width,
            depth=depth,
            heads=width // head,
            mlp=len(state[f"{blocks}0.mlp.lin1.weight"]),
            window=max(windows, default=0),
            global_blocks=tuple(i for i, span in enumerate(spans) if span == grid),
            embed=len(state["image_encoder.neck.0.weight"]),
            mask_channels=len(state["prompt_encoder.mask_downscaling.3.weight"]),
            decoder_depth=count(decoder),
            decoder_mlp=len(state[f"{decoder}0.mlp.lin1.weight"]),
            candidates=len(state["mask_decoder.mask_tokens.weight"]) - 1,
            iou_depth=count(iou_head),
            iou_hidden=len(state[f"{iou_head}0.weight"]),
        )
    except (KeyError, IndexError, ValueError) as error:
        why = (
            f"it has no {error}" if isinstance(error, KeyError) else "its tensors have other shapes"
        )
        raise WeightsError(
            f"weights file {path} is not a Segment Anything checkpoint with a ViT encoder: {why}. "
            f"Name the right file in the setting `weights`, or get it with "
            f"`ipseg weights fetch PROFILE`"
        ) from error
    return found
