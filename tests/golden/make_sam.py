"""Writes sam.npz: results of the package segment_anything in three passes.

`Sam.forward` is called three times as the released IPSeg does: it encodes the image each time,
with its own normalisation, padding and enlarging. Weights are seeded, so none are stored.

    python tests/golden/make_sam.py
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

from ipseg.segmenters.sam_architecture import SamArchitecture

SEED = 1
SPARSER = 0.5  # without it every mask touches all borders and a box says nothing
TINY = SamArchitecture(
    side=256,
    patch=16,
    width=32,
    depth=2,
    heads=4,
    mlp=64,
    window=6,  # does not divide the 16 patches: windows are padded
    global_blocks=(1,),
    embed=64,
    decoder_mlp=64,
    iou_hidden=32,
)
POINTS = np.array([[90, 120], [140, 100], [20, 30], [230, 240.5]], np.float32)
LABELS = np.array([1, 1, 0, 0])


def tiny_state(seed: int = SEED) -> dict[str, torch.Tensor]:
    """Random weights of the tiny SAM, whose masks are neither empty nor full."""
    random = np.random.default_rng(seed)
    state = {}
    for name, tensor in sorted(TINY.build().state_dict().items()):
        shape = tuple(tensor.shape)
        values = random.standard_normal(shape)
        if len(shape) == 1:
            # Large biases where a mask comes in: over few channels that are nearly equal, layer
            # normalisation would enlarge rounding errors a hundredfold from pass to pass.
            spread = 0.5 if "mask_downscaling" in name else 0.05
            values = spread * values + name.endswith("weight")
        elif "gaussian" not in name:
            embedding = "embed" in name or "token" in name or "rel_pos" in name
            values *= 0.4 if embedding else 1 / math.sqrt(math.prod(shape[1:]))
        if "hypernetworks" in name and name.endswith("layers.2.bias"):
            values -= SPARSER
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


def photo() -> np.ndarray:
    """(side, side, 3) uint8, squashed as released."""
    return cv2.resize(skimage.data.coffee(), (TINY.side, TINY.side))


def reference() -> dict[str, np.ndarray]:
    """Logits, predicted IoU, best candidate and box of each pass; masks as bits."""
    sam = TINY.build()
    sam.load_state_dict(tiny_state(), assign=True)
    given = {
        "image": torch.from_numpy(photo()).permute(2, 0, 1),
        "original_size": (TINY.side, TINY.side),
        "point_coords": torch.from_numpy(POINTS)[None],
        "point_labels": torch.from_numpy(LABELS)[None],
    }
    found: dict[str, np.ndarray] = {}
    for number, multimask in ((1, False), (2, True), (3, True)):
        answer = sam.eval()([given], multimask_output=multimask)[0]
        best = int(answer["iou_predictions"][0].argmax())
        mask = answer["masks"][0, best].numpy()
        given["mask_inputs"] = answer["low_res_logits"][:, best : best + 1]
        found |= {
            f"logits{number}": answer["low_res_logits"][0].numpy(),
            f"iou{number}": answer["iou_predictions"][0].numpy(),
            f"mask{number}": np.packbits(mask),
        }
        if number == 2:
            rows, columns = np.nonzero(mask)
            box = [columns.min(), rows.min(), columns.max(), rows.max()]
            found["box"] = np.array(box, np.float32)
            given["boxes"] = torch.from_numpy(found["box"])[None]
    return found


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("sam.npz"), **reference())
