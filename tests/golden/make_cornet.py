"""Writes cornet.npz: samples of the output of the saliency network with seeded weights.

When these numbers were made, the same code gave the released implementation's own answers (other
seeded weights, two photos) to 2e-5 on the logit and one 8-bit level in 0.02 % of the pixels.

    python tests/golden/make_cornet.py
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import skimage.data
import torch

from ipseg.networks.models import Models
from ipseg.saliency.cornet import CorNetSaliency
from ipseg.saliency.cornet_network import CorNet

SEED = 41
STEP = 20  # every 20th row and column is kept


def seeded_state(seed: int = SEED) -> dict[str, torch.Tensor]:
    """Random weights; each tensor depends on its name and shape alone.

    From numpy's legacy generator, whose numbers never change between versions.
    """
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in CorNet().state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        random = np.random.RandomState(zlib.crc32(f"{seed} {name}".encode()))
        values = math.sqrt(3) * (2 * random.random_sample(shape) - 1)  # mean 0, deviation 1
        if len(shape) > 1:
            values /= math.sqrt(math.prod(shape[1:]))
        elif name.endswith("running_var"):
            values = 1 + 0.1 * np.abs(values)
        else:
            values = 0.03 * values + name.endswith("weight")
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


def photo() -> np.ndarray:
    """(400, 600, 3) uint8."""
    return skimage.data.coffee()


def main(folder: Path) -> None:
    """Makes the weights, runs the network, keeps samples."""
    weights = folder / "cornet_seeded.pth"
    torch.save(seeded_state(), weights)
    saliency = CorNetSaliency(weights=str(weights))
    saliency.setup(Models(device="cpu"))
    weights.unlink()
    logit = saliency.logit(photo()).numpy()
    level = np.round(saliency.predict(photo()) * 255).astype(np.uint8)
    np.savez_compressed(
        folder / "cornet.npz", logit=logit[::STEP, ::STEP], level=level[::STEP, ::STEP]
    )


if __name__ == "__main__":
    main(Path(__file__).parent)
