"""SAM 3's detector as one part: a canvas is encoded once, then asked with boxes and words."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import Sam3Model

from ipseg.methods.sam3.canvas import Boxes
from ipseg.networks.captions import load_captions
from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import Network, load_network
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

_HALF = (0.5, 0.5, 0.5)
_REMEMBERED = 1000  # captions
NO_NAME = "visual"  # what the network was trained to read where only boxes are given


@dataclass(frozen=True)
class Candidates:
    """What the network finds on a canvas.

    Attributes:
        scores: (n,) in [0, 1], falling: probability of a class, times that of its presence.
        boxes: (n, 4) x, y, x, y in shares of the canvas's side.
        logits: (n, h, w) of the masks, over the whole canvas, on the network's device.
    """

    scores: Tensor
    boxes: Tensor
    logits: Tensor


@dataclass
class Sam3Network:
    """SAM 3 of the transformers library.

    Attributes:
        weights: folder or hub id. The published ones are gated: their terms must be accepted.
        held: canvases of the last images whose features are kept, for other settings that look at
            the same; 0.12 GB each.
        gpu_memory_gb: GPU memory in GB: weights 3.4 (850 million float32), global attention of one
            canvas 1.7 (16 x 5184 x 5184 float32), features 0.12 for each that is held, CUDA itself.
    """

    weights: str = "facebook/sam3"
    held: Annotated[int, Field(ge=1)] = 8
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 8.0

    def __post_init__(self) -> None:
        self._network: Network = None
        self._captions: Any = None
        self._models = Models()
        self._last = LastBatch()
        self._texts: dict[str, Any] = {}

    @property
    def side(self) -> int:
        """Pixels of the canvas: 1008 as published, and no other."""
        return int(self._network.config.vision_config.image_size)

    def setup(self, models: Models) -> None:
        """Loads the network and its words.

        Raises:
            WeightsError: they are missing, damaged, or not of a SAM 3.
        """
        location = models.locate(self.weights)
        # Published folders hold the tracker of videos as well, under this type.
        network = load_network(location, {"sam3": Sam3Model, "sam3_video": Sam3Model})
        words = network.config.text_config
        self._captions = load_captions(location, words.max_position_embeddings, words.vocab_size)
        self._network = network.to(models.torch_device())
        self._models = models

    @torch.inference_mode()
    def encode(self, canvas: Image, batch: Sequence[Image]) -> Any:  # noqa: ANN401
        """Features of a canvas, private to the network.

        Args:
            canvas: (side, side, 3) uint8 RGB.
            batch: images at work; the canvases that were seen with the last ones are remembered.
        """
        known: OrderedDict[bytes, Any] = self._last.get(batch, OrderedDict)
        key = hashlib.blake2b(canvas.tobytes(), digest_size=16).digest()
        if key not in known:
            pixels = normalised(to_pixels([canvas]), _HALF, _HALF)
            with self._models.autocast():
                found = self._network.get_vision_features(pixels.to(self._models.torch_device()))
            known[key] = found
            while len(known) > self.held:
                known.popitem(last=False)
        return known[key]

    @torch.inference_mode()
    def find(self, encoded: Any, boxes: Boxes, caption: str, least: float) -> Candidates:  # noqa: ANN401
        """What looks like the content of boxes, or what a caption names, or both.

        Args:
            encoded: a canvas, from `encode`.
            boxes: (n, 4) x, y, x, y in shares of the side, all of them examples.
            caption: words, or `NO_NAME`.
            least: score that candidates are above.
        """
        with self._models.autocast():
            words, read = self._text(caption)
            corners = torch.from_numpy(boxes).to(words["attention_mask"].device)
            low, high = corners[:, :2], corners[:, 2:]
            found = self._network(
                vision_embeds=encoded,
                text_embeds=read,
                attention_mask=words["attention_mask"],
                input_boxes=torch.cat([(low + high) / 2, high - low], dim=1)[None],
                input_boxes_labels=torch.ones(1, len(boxes), dtype=torch.long, device=low.device),
            )
        scores = found.pred_logits[0].float().sigmoid() * found.presence_logits[0].float().sigmoid()
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] > least]
        return Candidates(
            scores[order], found.pred_boxes[0][order].float(), found.pred_masks[0][order].float()
        )

    def _text(self, caption: str) -> tuple[Any, Any]:
        """The words of a caption and what the network reads; the last are remembered."""
        if caption not in self._texts:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            words = self._captions([caption]).to(self._models.torch_device())
            self._texts[caption] = (words, self._network.get_text_features(**words))
        return self._texts[caption]
