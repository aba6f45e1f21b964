"""Networks take images plane after plane: PyTorch's GroupNorm is inexact with any other order."""

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from ipseg.features.dinov2 import Dinov2
from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.networks.models import Models
from ipseg.networks.pixels import to_pixels
from ipseg.saliency.cornet import CorNetSaliency
from ipseg.saliency.tokencut import TokenCut
from ipseg.segmenters.hf_sam import HFSam
from ipseg.segmenters.segment_anything import SegmentAnything

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.mark.parametrize(
    "order", [np.ascontiguousarray, np.asfortranarray, lambda i: i[::-1, ::-1]]
)
def test_values_and_order_of_memory(order):
    images = [order(IMAGE), order(255 - IMAGE)]
    pixels = to_pixels(images)
    assert pixels.is_contiguous()
    assert pixels.dtype == torch.float32
    expected = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_array_equal(pixels.numpy(), expected)


@pytest.mark.parametrize(
    ("part", "run"),
    [
        (StableDiffusion(size=128, crop=64), lambda part: part.features([IMAGE])),
        (Dinov2(size=140), lambda part: part.features([IMAGE])),
        (CorNetSaliency(), lambda part: part.logit(IMAGE)),
        (TokenCut(weights="facebook/dinov2-small"), lambda part: part.features(IMAGE)),
        (SegmentAnything(weights="sam_vit_b_01ec64.pth"), lambda part: part.encode([IMAGE])),
        (HFSam(), lambda part: part.encode([IMAGE])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_network_gets_whole_planes(part, run, tiny_root):
    part.setup(Models(root=str(tiny_root), device="cpu"))
    orders = []

    def record(module, given):
        if isinstance(module, torch.nn.Conv2d) and given[0].shape[1] == 3:
            orders.append(given[0].is_contiguous())

    hook = register_module_forward_pre_hook(record)
    try:
        run(part)
    finally:
        hook.remove()
    assert orders
    assert all(orders)
