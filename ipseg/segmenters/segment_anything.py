"""The released SAM: the package `segment_anything` and its .pth checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models
from ipseg.segmenters.frame import Aspect
from ipseg.segmenters.guided import guided
from ipseg.segmenters.prompt import Decoded, Guidance, PointPrompt
from ipseg.segmenters.prompt_batch import PromptBatch
from ipseg.segmenters.promptable import Embedding, Features, PromptableNetwork
from ipseg.segmenters.sam_architecture import recognise


@dataclass
class SegmentAnything(PromptableNetwork):
    """Segment Anything (Kirillov et al., ICCV 2023).

    Attributes:
        weights: a state dict in the released layout, such as sam_vit_h_4b8939.pth,
            sam_vit_l_0b3195.pth or sam_vit_b_01ec64.pth. The architecture is read from it.
        aspect: `letterbox` keeps the aspect ratio, as in SAM's training: the longer side fills the
            square, the rest is padding. `squash` fills the square, as released with IPSeg.
        gpu_memory_gb: GPU memory in GB; for ViT-H: weights 2.6 (641 million float32; in 16 bits
            autocast adds 1.3 for its copies), global attention of one image 3.2 (three float32
            tensors of 16 x 4096 x 4096 live at once; half in 16 bits), the rest of a block and
            CUDA itself 0.7. ViT-L needs 5.5, ViT-B 3.5. Each additional image in a batch adds the
            attention again.
    """

    weights: str = "sam_vit_h_4b8939.pth"
    aspect: Aspect = "letterbox"
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 7.0

    kind: ClassVar[str] = "segment_anything"

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the file is missing, damaged, or not of a SAM.
        """
        path = models.locate(self.weights)
        state = read_state_dict(path)
        architecture = recognise(state, path)
        sam = architecture.build()
        load_strict(sam, state, path)
        self._install(sam, models, architecture.side, architecture.patch)

    def _aspect(self) -> Aspect:
        return self.aspect

    def _encode(self, pixels: Tensor) -> Sequence[Features]:
        return [(features[None],) for features in self._network.image_encoder(pixels)]

    @torch.inference_mode()
    def decode_guided(
        self,
        embedding: Embedding,
        prompts: Sequence[PointPrompt],
        guidance: Sequence[Guidance],
        *,
        multimask: bool = True,
        best: bool = False,
    ) -> list[Decoded]:
        """As `decode_many`, with a target that guides the decoder for each prompt.

        See `ipseg.segmenters.guided`. In float32, like all decoding.

        Args:
            embedding: of the image, from `encode`.
            prompts: one for each mask.
            guidance: for each prompt.
            multimask: as in `decode`; PerSAM's first pass has one candidate.
            best: as in `decode_many`.

        Raises:
            ValueError: prompts and guidance differ in number, or a guidance has the wrong shape.
        """
        if len(guidance) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts with {len(guidance)} guidances")
        grid = self.feature_map(embedding)
        for each in guidance:
            shapes = (*each.target.shape, *each.attention.shape)
            if shapes != grid.shape:
                raise ValueError(f"a guidance of shapes {shapes} for features {tuple(grid.shape)}")

        def stack(arrays: Sequence[npt.NDArray[np.float32]]) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).float().to(grid.device)

        def decode(batch: PromptBatch, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
            attention = stack([guidance[i].attention for i in chosen])
            target = stack([guidance[i].target for i in chosen])
            with guided(self._network.mask_decoder, attention, target):
                return self._decode(embedding.features, batch)

        return self._in_groups(decode, embedding.frame, prompts, multimask=multimask, best=best)

    def _decode(self, features: Features, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
        sam = self._network
        sparse, dense = sam.prompt_encoder(
            points=(prompts.coords, prompts.labels),
            boxes=prompts.boxes,
            masks=None if prompts.logits is None else prompts.logits[:, None],
        )
        logits, predicted_iou = sam.mask_decoder(
            image_embeddings=features[0],
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompts.multimask,
        )
        return logits, predicted_iou
