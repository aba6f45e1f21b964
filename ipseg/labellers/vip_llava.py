"""ViP-LLaVA (Cai et al., CVPR 2024) of the transformers library, asked for a noun.

Source: PerSense (Siddiqui et al., BMVC 2025), facts about its released code: question, layout of
the conversation, and the noun that is taken from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from torch import Tensor
from transformers import AutoTokenizer, VipLlavaForConditionalGeneration

from ipseg.networks.models import Models
from ipseg.networks.pixels import normalised, to_pixels
from ipseg.networks.pretrained import DAMAGED, Network, load_network, normalisation, unreadable
from ipseg.rows import Image, Mask

_BEFORE = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions.###Human: "
)
_AFTER = "\nName the object in the image?###Assistant:"
_END = "###"


@dataclass
class VipLlava:
    """Names the object of a prompt; everything else in the image is black.

    Always the same name for the same image: the most probable words are taken, where the released
    code draws them.

    Attributes:
        weights: folder or hub id in the form of transformers. Code Apache-2.0; the weights are
            under the terms of LLaMA's family, not verified here.
        tokens: of an answer, at most.
        gpu_memory_gb: GPU memory in GB: weights of 7 billion parameters in 16 bits 14, one image.
    """

    weights: str = "llava-hf/vip-llava-7b-hf"
    tokens: Annotated[int, Field(ge=1)] = 32
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 16.0

    def __post_init__(self) -> None:
        self._network: Network = None
        self._tokens: Any = None
        self._models = Models()
        self._statistics: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def setup(self, models: Models) -> None:
        """Loads the network and its words; on a GPU in 16 bits.

        Raises:
            WeightsError: they are missing, damaged, or not of a ViP-LLaVA.
        """
        location = models.locate(self.weights)
        device = models.torch_device()
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        classes = {"vipllava": VipLlavaForConditionalGeneration}
        network = load_network(location, classes, dtype=dtype)
        folder = Path(location) if Path(location).is_dir() else Path(location).parent
        try:
            self._tokens = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except DAMAGED as error:
            raise unreadable(folder, error) from error
        self._statistics = normalisation(location)
        self._network = network.to(device)
        self._models = models

    @torch.inference_mode()
    def label(self, image: Image, mask: Mask) -> str:
        """See `Labeller.label`."""
        network = self._network
        if network is None:
            raise RuntimeError("call VipLlava.setup() first")
        pixels = self._pixels(np.where(mask[..., None], image, 0).astype(np.uint8))
        asked = self._asked().to(pixels.device)
        answer = network.generate(
            input_ids=asked,
            attention_mask=torch.ones_like(asked),
            pixel_values=pixels.to(network.dtype),
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.tokens,
        )
        new = answer[0, asked.shape[1] :]
        return noun(self._tokens.decode(new, skip_special_tokens=True))

    def _asked(self) -> Tensor:
        """(1, n) ids of the conversation; the image has as many as its patches."""
        config = self._network.config
        vision = config.vision_config
        seen = [config.image_token_id] * (vision.image_size // vision.patch_size) ** 2
        before = self._tokens(_BEFORE)["input_ids"]
        after = self._tokens(_AFTER, add_special_tokens=False)["input_ids"]
        return torch.tensor([[*before, *seen, *after]])

    def _pixels(self, image: Image) -> Tensor:
        """(1, 3, s, s): the middle square, resized as CLIP has it."""
        side = self._network.config.vision_config.image_size
        height, width = image.shape[:2]
        scale = side / min(height, width)
        size = (max(side, round(scale * width)), max(side, round(scale * height)))
        whole = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BICUBIC)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        middle = np.array(whole.crop((left, top, left + side, top + side)))
        return normalised(to_pixels([middle]), *self._statistics).to(self._models.torch_device())


def noun(answer: str) -> str:
    """The last word of an answer without full stops; "" of an empty one."""
    words = answer.partition(_END)[0].split()
    return words[-1].replace(".", "") if words else ""
