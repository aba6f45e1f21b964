"""Writes counters.npz: what the counters find, with seeded weights in networks of small sizes.

When these numbers were made, the same code at the released sizes gave the released
implementations' own answers (seeded weights, photos): DSALVANet's density to 4e-5 of 8 and its
count to 5e-6, stage by stage; CounTR's map to 1.5e-6 and its count to 7e-6.

    python tests/golden/make_counters.py
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch

from ipseg.counters.countr import CounTR
from ipseg.counters.countr_network import Architecture as CountrArchitecture
from ipseg.counters.countr_network import CounTRNetwork
from ipseg.counters.dsalvanet import DSALVANet
from ipseg.counters.dsalvanet_network import Architecture as DsalvanetArchitecture
from ipseg.counters.dsalvanet_network import DSALVANetwork
from ipseg.networks.models import Models

SEED = 43
STEP = 8  # every 8th row and column is kept
DSALVANET = DsalvanetArchitecture(width=32, blocks=2, layers=(1, 2, 1, 1), base=8)
COUNTR = CountrArchitecture(12, 128, 2, 64, 2, (8, 16, 16), 16)
# x, y, x, y in the photo
THREE = [[183, 95, 235, 149], [422, 194, 480, 248], [51, 33, 97, 88]]
CASES: dict[str, tuple[str, list[list[int]]]] = {
    "three": ("coffee", THREE),
    "one": ("coffee", THREE[:1]),
    "border": ("coffee", [[0, 10, 70, 90], [480, 200, 599, 399], [100, 300, 112, 309], THREE[0]]),
    "narrow": ("turned", [[80, 60, 160, 150], [30, 200, 110, 290]]),
    "small": ("coffee", [THREE[0], [422, 194, 431, 203]]),
}


def photo(name: str) -> np.ndarray:
    """(400, 600, 3), or (451, 300, 3), which is narrower than CounTR's square."""
    if name == "coffee":
        return skimage.data.coffee()
    return np.ascontiguousarray(skimage.data.chelsea().transpose(1, 0, 2))


def seeded(network: torch.nn.Module, tables: dict[str, float]) -> dict[str, torch.Tensor]:
    """Random weights; each tensor depends on its name and shape alone.

    From numpy's legacy generator, whose numbers never change between versions.

    Args:
        network: for names and shapes.
        tables: name, or its end -> what its numbers are multiplied by.
    """
    state = {}
    for name, like in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)
            continue
        random = np.random.RandomState(zlib.crc32(f"{SEED} {name}".encode()))
        values = math.sqrt(3) * (2 * random.random_sample(tuple(like.shape)) - 1)
        if like.ndim > 1:
            values /= math.sqrt(math.prod(like.shape[1:]))
        elif name.endswith("running_var"):
            values = 1 + 0.1 * np.abs(values)
        else:
            values = 0.03 * values + name.endswith("weight")
        factor = next((f for end, f in tables.items() if name.endswith(end)), 1)
        state[name] = torch.from_numpy((factor * values).astype(np.float32))
    return state


def dsalvanet_state() -> dict[str, torch.Tensor]:
    """Such that similarity and density are neither lost nor all there is."""
    with torch.device("meta"):
        network = DSALVANetwork(DSALVANET)
    state = seeded(network, {"similarity_cal.out_conv.weight": 1 / 32})
    state["count_regressor.regressor.8.bias"] += 0.1
    return state


def countr_state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = CounTRNetwork(COUNTR)
    # Tables have many columns, but are no layers.
    state = seeded(network, {"pos_embed": math.sqrt(COUNTR.grid**2), "shot_token": 30})
    state["decode_head3.3.bias"] += 0.3
    return state


def counter(kind: str, folder: Path) -> Any:
    """Loaded from a checkpoint in the released form; released behaviour."""
    path = folder / f"{kind}.pth"
    if kind == "dsalvanet":
        torch.save({"state_dict": dsalvanet_state(), "epoch": 200}, path)
        found: Any = DSALVANet(weights=str(path), side=256)
    else:
        torch.save({"model": countr_state()}, path)
        released = {"countr_tiles": "released", "countr_padding": "released"}
        found = CounTR(
            weights=str(path), countr_e_divisor="released", crop_antialias=True, **released
        )
    found.setup(Models(device="cpu"))
    return found


def numbers(folder: Path) -> dict[str, np.ndarray]:
    """All that is stored: KIND.CASE.map, .count and .total."""
    found: dict[str, np.ndarray] = {}
    for kind in ("dsalvanet", "countr"):
        counting = counter(kind, folder)
        for case, (name, boxes) in CASES.items():
            (encoded,) = counting.encode([photo(name)])
            density = counting.count(encoded, np.array(boxes, float))
            found[f"{kind}.{case}.map"] = density.map[::STEP, ::STEP]
            found[f"{kind}.{case}.count"] = np.array(density.count)
            found[f"{kind}.{case}.total"] = np.array(density.total)
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        made = numbers(Path(place))
    np.savez_compressed(Path(__file__).with_name("counters.npz"), **made)
