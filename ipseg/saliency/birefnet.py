"""Saliency by BiRefNet and networks of its kind, whose Python code comes with their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import load_strict
from ipseg.networks.models import Models
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD, normalised, to_pixels
from ipseg.networks.pretrained import DAMAGED, Network, quiet, unreadable
from ipseg.rows import Image, Map
from ipseg.saliency.cornet import to_8bit
from ipseg.saliency.weak import never_empty

_TASK = "AutoModelForImageSegmentation"
# What code that was written for other versions of the libraries raises.
_FOREIGN = (*DAMAGED, ImportError, AttributeError, TypeError, NotImplementedError)


@dataclass
class BiRefNetSaliency:
    """BiRefNet (Zheng et al., CAAI AIR 2024) through transformers' image segmentation.

    Preprocessing is that of the published model card: the image fills a square (bilinear with
    antialiasing), normalised by ImageNet; the sigmoid of the last map is resized to the image.

    Attributes:
        weights: hub id, or a folder with config.json, model.safetensors and the code that
            config.json names. Others with the same code and output, such as RMBG-2.0, fit too.
        revision: commit on the hub of both weights and code; a folder is taken as it is.
        remote_code: allows that code to run on this machine, with all that you can do here. Read
            it first.
        size: side of the square in pixels, a multiple of 32; 1024 in training.
        gpu_memory_gb: GPU memory in GB: weights 0.9 (221 million float32), activations of one
            image of 1024 x 1024, CUDA itself.
    """

    weights: str = "ZhengPeng7/BiRefNet"
    revision: str = "e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4"
    remote_code: bool = False
    size: Annotated[int, Field(ge=32, multiple_of=32)] = 1024
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 6.0

    def __post_init__(self) -> None:
        if not self.remote_code:
            raise ValueError(
                f"{self.weights} brings Python code that would run on this machine; read it (at "
                f"https://huggingface.co/{self.weights}/tree/{self.revision}, or in its folder), "
                f"then set remote_code=true beside its kind; saliency by tokencut or cornet needs "
                f"no such code"
            )
        self._network: Network = None
        self._models = Models()

    def setup(self, models: Models) -> None:
        """Loads the network, whose code then has run.

        Raises:
            WeightsError: a file is missing or damaged, the code lies in another repository or does
                not work here, or the weights are not of that network.
        """
        folder = Path(models.locate(self.weights, self.revision))
        path = folder / "model.safetensors"
        network = _built(folder, *self._code(folder))
        try:
            state = load_file(path)
        except DAMAGED as error:
            raise unreadable(path, error) from error
        load_strict(network, state, path)
        # The published numbers have 16 bits.
        self._network = network.float().requires_grad_(False).eval().to(models.torch_device())
        self._models = models

    def predict(self, image: Image) -> Map:
        """Soft saliency of a (H, W, 3) uint8 image: (H, W) float32, one of k / 255.

        Raises:
            WeightsError: the network gives something else than maps.
        """
        levels = to_8bit(self._probability(image), image.shape[:2])
        return levels.astype(np.float32) / np.float32(255)

    def isolate(self, image: Image) -> Map:
        """The same map, as `CorNetSaliency.isolate`: never empty."""
        return never_empty(self.predict(image))

    def _probability(self, image: Image) -> Map:
        """(size, size) float32 in [0, 1]."""
        if self._network is None:
            raise RuntimeError("call BiRefNetSaliency.setup() first")
        square = (self.size, self.size)
        small = PillowImage.fromarray(image).resize(square, PillowImage.Resampling.BILINEAR)
        pixels = to_pixels([np.array(small)], self._models.torch_device())
        # Not `inference_mode`: the published code keeps tensors from one call to the next.
        with torch.no_grad(), self._models.autocast():
            found = self._network(normalised(pixels, IMAGENET_MEAN, IMAGENET_STD))
        last = found[-1] if isinstance(found, list | tuple) and found else found
        if not isinstance(last, Tensor) or last.shape[:2] != (1, 1):
            raise WeightsError(
                f"{self.weights} does not give a list of maps (1, 1, h, w) like BiRefNet, but "
                f"{type(last).__name__} {tuple(getattr(last, 'shape', ()))}"
            )
        return np.asarray(last[0, 0].float().sigmoid().cpu().numpy(), np.float32)

    def _code(self, folder: Path) -> tuple[str, str]:
        """Names of the classes of configuration and network: of code that is in the folder."""
        path = folder / "config.json"
        whole = f"get it whole: hf download {self.weights} --revision {self.revision}"
        try:
            modules = dict(json.loads(path.read_text())["auto_map"])
            names = str(modules["AutoConfig"]), str(modules[_TASK])
        except FileNotFoundError:
            raise WeightsError(f"no config.json in {folder}; {whole}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path} names no code for {_TASK} ({type(error).__name__}: {error}), so it is not "
                f"of a network like BiRefNet"
            ) from error
        for name in names:
            if "--" in name:
                raise WeightsError(
                    f"{path} takes its code from another repository, {name.partition('--')[0]}, of "
                    f"no fixed revision: copy the code into {folder} and name it there"
                )
            if not (code := folder / f"{name.partition('.')[0]}.py").is_file():
                raise WeightsError(f"no {code.name} in {folder}; {whole}")
        if not (folder / "model.safetensors").is_file():
            raise WeightsError(f"no model.safetensors in {folder}; {whole}")
        return names


def _built(folder: Path, *names: str) -> Network:
    """The network with its initial weights, on the CPU.

    Not by `AutoModelForImageSegmentation`. Since transformers 5 it builds networks on 'meta', but
    BiRefNet reads numbers from tensors while it is built; and it keeps to the code of the first
    folder that a process has loaded, if that of another has the same configuration.
    """
    try:
        with quiet():
            config_class, network_class = (
                get_class_from_dynamic_module(name, str(folder), local_files_only=True)
                for name in names
            )
            return network_class(config_class.from_pretrained(str(folder)))
    except _FOREIGN as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(f"the code in {folder} does not work here: {reason}") from error
