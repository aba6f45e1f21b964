"""CounTR as a counter: windows, tiles for small exemplars, normalisation by the exemplars.

Source: CounTR (Liu et al., BMVC 2022), the copy of its code in PerSense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ipseg.counters import Boxes, Density
from ipseg.counters.countr_network import SCALE, Architecture, CounTRNetwork
from ipseg.counters.countr_windows import Rect, Resized, assembled, merged, windows
from ipseg.counters.loading import load_counter
from ipseg.networks.models import Models
from ipseg.networks.shared import LastBatch
from ipseg.rows import Image

_CHECKPOINT_KEY = "model"
_MOST = 1.8  # objects in an exemplar's box; where there are more, an object counts as several
_SHOTS = 3

Switch = Literal["released", "fixed"]


@dataclass
class Encoded:
    """One image, and what was computed of it.

    Attributes:
        resized: the image.
        whole: (n, t, c) tokens of its windows.
        tiles: those of the windows of its nine tiles, once they were asked for.
        tokens: (c,) of each exemplar that was asked for.
    """

    resized: Resized
    whole: Tensor
    tiles: list[Tensor] = field(default_factory=list)
    tokens: dict[Rect, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """All that comes out of one count.

    Attributes:
        density: (s, w) `SCALE` times the density, padding included.
        totals: objects in the image, or in each of its tiles.
        in_exemplars: mean number of objects in the box of an exemplar.
    """

    density: Tensor
    totals: tuple[float, ...]
    in_exemplars: float

    @property
    def count(self) -> float:
        """Of the whole image, normalised."""
        total = sum(self.totals)
        return total / self.in_exemplars if self.in_exemplars > _MOST else total


@dataclass
class CounTR:
    """Counts by up to four exemplars.

    Attributes:
        weights: the released checkpoint: 225 tensors under `model`.
        countr_tiles: small exemplars are counted in nine enlarged tiles. `released` takes the map
            and the normalisation from the last tile alone, `fixed` from all of them.
        countr_padding: a narrow image is padded. `released` takes the exemplars from where they
            would be without padding.
        countr_e_divisor: `released` divides the objects in all exemplars by 3, however many there
            are.
        crop_antialias: antialiased resizing of crops and tiles, as torchvision does from 0.17 on;
            older versions, of the time of the training, did not.
        gpu_memory_gb: GPU memory in GB: weights 0.4, activations of three windows, CUDA itself.
    """

    weights: str = "FSC147.pth"
    countr_tiles: Switch = "fixed"
    countr_padding: Switch = "fixed"
    countr_e_divisor: Switch = "fixed"
    crop_antialias: bool = False
    gpu_memory_gb: Annotated[float, Field(ge=0)] = 2.5

    level: ClassVar[int] = 20
    exemplars: ClassVar[int] = 4

    def __post_init__(self) -> None:
        self._network: CounTRNetwork | None = None
        self._models = Models()
        self._last = LastBatch()

    def setup(self, models: Models) -> None:
        """Loads the network.

        Raises:
            WeightsError: the file is missing, damaged, or of another network.
        """
        network = load_counter(
            models, self.weights, _CHECKPOINT_KEY, Architecture.of, CounTRNetwork, "CounTR"
        )
        self._network = network.float().eval().to(models.torch_device())
        self._models = models

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Tokens of each (H, W, 3) uint8 image; the last batch is cached."""
        return self._last.get(images, lambda: [self._encode(image) for image in images])

    def _encode(self, image: Image) -> Encoded:
        small = Resized.of(image, 16 * self._loaded().grid)
        return Encoded(small, self._tokens(small.pixels))

    @torch.inference_mode()
    def count(self, encoded: Encoded, boxes: Boxes) -> Density:
        """See `Counter.count`; the count is a fraction."""
        found = self.counted(encoded, boxes)
        place = encoded.resized
        inside = found.density[:, place.padding : place.padding + place.width]
        density = (inside / SCALE).cpu().numpy().astype(np.float32)
        return Density(density, found.count, sum(found.totals))

    @torch.inference_mode()
    def counted(self, encoded: Encoded, boxes: Boxes) -> Counted:
        """The same with all that leads to it; takes as many exemplars as there are boxes."""
        place = encoded.resized
        rects = place.rects(boxes)
        in_tiles = any(rect.small for rect in rects)
        if self.countr_padding == "fixed":
            rects = [rect.shifted(place.padding) for rect in rects]
        exemplars = self._exemplars(encoded, rects)
        parts = self._in_tiles(encoded) if in_tiles else [encoded.whole]
        maps = [self._density(tokens, exemplars, place.pixels.shape[2]) for tokens in parts]
        totals = tuple(float(each.sum(dtype=torch.float64)) / SCALE for each in maps)
        density = assembled(maps) if in_tiles and self.countr_tiles == "fixed" else maps[-1]
        inside = sum(float(rect.of(density).sum()) / SCALE for rect in rects)
        divisor = _SHOTS if self.countr_e_divisor == "released" else len(rects)
        return Counted(density, totals, inside / divisor)

    def _exemplars(self, encoded: Encoded, rects: Sequence[Rect]) -> Tensor:
        """(e, c) tokens; those of earlier counts in the image are kept."""
        device = self._models.torch_device()
        new = [rect for rect in dict.fromkeys(rects) if rect not in encoded.tokens]
        for rect in new:
            crop = encoded.resized.crop(rect, antialias=self.crop_antialias)
            encoded.tokens[rect] = self._loaded().exemplar(crop[None].to(device))[0]
        return torch.stack([encoded.tokens[rect] for rect in rects])

    def _in_tiles(self, encoded: Encoded) -> list[Tensor]:
        if not encoded.tiles:
            tiles = encoded.resized.tiles(antialias=self.crop_antialias)
            encoded.tiles.extend(map(self._tokens, tiles))
        return encoded.tiles

    def _tokens(self, pixels: Tensor) -> Tensor:
        """(3, s, w) -> (n, t, c) of its windows."""
        cut = windows(pixels).to(self._models.torch_device())
        with self._models.autocast():
            return self._loaded().encode(cut).float()

    def _density(self, tokens: Tensor, exemplars: Tensor, width: int) -> Tensor:
        """(s, width), window by window."""
        maps = [self._loaded()(each[None], exemplars)[0] for each in tokens]
        return merged(maps, width)

    def _loaded(self) -> CounTRNetwork:
        if self._network is None:
            raise RuntimeError("call CounTR.setup() first")
        return self._network
