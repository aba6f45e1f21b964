"""The SAM family in transformers: SAM, SAM-HQ, SAM 2 and 2.1, and the tracker of SAM 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel, Sam2Model, Sam3TrackerModel, SamHQModel, SamModel

from ipseg.networks.models import Models
from ipseg.networks.pretrained import Network, load_network
from ipseg.segmenters.frame import IMAGENET, Aspect, Statistics
from ipseg.segmenters.prompt_batch import PromptBatch
from ipseg.segmenters.promptable import Features, PromptableNetwork

_CLASSES: dict[str, type[PreTrainedModel]] = {
    "sam": SamModel,
    "sam_hq": SamHQModel,
    "sam2": Sam2Model,
    "sam2_video": Sam2Model,  # the type in published SAM 2 folders
    "sam3_tracker": Sam3TrackerModel,
    "sam3_video": Sam3TrackerModel,  # in the published SAM 3 folder, beside the detector
}
_PYRAMIDS = (Sam2Model, Sam3TrackerModel)  # decode from three maps, the finest first
_HALF: Statistics = ((127.5,) * 3, (127.5,) * 3)


@dataclass
class HFSam(PromptableNetwork):
    """A SAM, SAM-HQ, SAM 2 or SAM 3 from a folder or the hub.

    Attributes:
        weights: folder or hub id with config.json and weights, such as facebook/sam-vit-huge,
            syscv-community/sam-hq-vit-base, facebook/sam2.1-hiera-large or facebook/sam3, of which
            the tracker is used: it takes points and boxes as SAM 2 does.
        aspect: see `SegmentAnything`; None is that of training: `letterbox`, and for SAM 2 and 3
            `stretch`, which fills the square.
        gpu_memory_gb: GPU memory in GB; for SAM ViT-B: weights 0.4, global attention of one image
            2.4 (three float32 tensors of 12 x 4096 x 4096), and CUDA itself. SAM 2 tiny (39
            million weights, small windows) needs 1.5, large (224 million) 3, ViT-H 7.
    """

    weights: str = "facebook/sam-vit-base"
    aspect: Aspect | None = None
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 3.5

    kind: ClassVar[str] = "hf_sam"

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: weights are missing, damaged, or not of a SAM.
        """
        model = load_network(models.locate(self.weights), _CLASSES)
        sizes = model.config.prompt_encoder_config
        self._install(model, models, sizes.image_size, sizes.patch_size)

    def _aspect(self) -> Aspect:
        if self.aspect is not None:
            return self.aspect
        return "stretch" if isinstance(self._network, _PYRAMIDS) else "letterbox"

    def _statistics(self) -> Statistics:
        return _HALF if isinstance(self._network, Sam3TrackerModel) else IMAGENET

    def _encode(self, pixels: Tensor) -> Sequence[Features]:
        model = self._network
        if isinstance(model, Sam3TrackerModel):
            maps = _tracker_maps(model, pixels)
        else:
            found = model.get_image_embeddings(pixels)
            maps = found if isinstance(model, Sam2Model) else [found]
            if isinstance(model, SamHQModel):
                maps = [found[0], *found[1]]  # the embedding, then the early maps of global blocks
        return [tuple(one[i : i + 1] for one in maps) for i in range(len(pixels))]

    def _embedding_at(self) -> int:
        return -1 if isinstance(self._network, _PYRAMIDS) else 0

    def _decode(self, features: Features, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
        model = self._network
        # One image per prompt: the classes take a mask input per image, not per prompt.
        maps = [one.expand(len(prompts.coords), -1, -1, -1) for one in features]
        early = {"intermediate_embeddings": maps[1:]} if isinstance(model, SamHQModel) else {}
        answer = model(
            image_embeddings=maps if isinstance(model, _PYRAMIDS) else maps[0],
            **early,
            input_points=prompts.coords[:, None],
            input_labels=prompts.labels[:, None],
            input_boxes=None if prompts.boxes is None else prompts.boxes[:, None],
            input_masks=None if prompts.logits is None else prompts.logits[:, None],
            multimask_output=prompts.multimask,
        )
        return answer.pred_masks[:, 0], answer.iou_scores[:, 0]


def _tracker_maps(model: Network, pixels: Tensor) -> list[Tensor]:
    """(B, c, h, w) each: what SAM 3's tracker decodes from, the finest first.

    As `get_image_embeddings` of the library, which adds the embedding for "nothing in memory" to
    the coarsest level of the neck. The published neck has one level more than the decoder takes,
    and its last level is left out when SAM 3 tracks, so there the decoder would lack it.
    """
    sizes = model.backbone_feature_sizes
    levels = model.get_image_features(pixels, return_dict=True).fpn_hidden_states[: len(sizes)]
    levels[-1] = levels[-1] + model.no_memory_embedding
    return [
        level.permute(1, 2, 0).unflatten(2, tuple(size))
        for level, size in zip(levels, sizes, strict=True)
    ]
