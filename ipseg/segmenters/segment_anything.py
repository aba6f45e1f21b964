"""The released SAM: the package `segment_anything` and its .pth checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.models import Models
from ipseg.segmenters.frame import Aspect
from ipseg.segmenters.promptable import Features, PromptableNetwork, PromptBatch
from ipseg.segmenters.sam_architecture import recognise


@dataclass
class SegmentAnything(PromptableNetwork):
    """Segment Anything (Kirillov et al., ICCV 2023).

    Attributes:
        weights: a state dict in the released layout, such as sam_vit_h_4b8939.pth,
            sam_vit_l_0b3195.pth or sam_vit_b_01ec64.pth. The architecture is read from it.
        aspect: `letterbox` keeps the aspect ratio, as in SAM's training: the longer side fills the
            square, the rest is padding. `squash` fills the square, as released with IPSeg.
        gpu_memory_gb: for ViT-H: weights 2.6 (641 million float32; in 16 bits autocast adds 1.3
            for its copies), global attention of one image 3.2 (three float32 tensors of 16 x 4096
            x 4096 live at once; half in 16 bits), the rest of a block and CUDA itself 0.7.
            ViT-L needs 5.5, ViT-B 3.5. Each additional image in a batch adds the attention again.
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
