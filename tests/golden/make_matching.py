"""Writes matching.npz: the matching of the published method, restated with operators of torch.

Nothing of `ipseg` is used. Inputs come from seeds and are made again by the tests (`inputs`,
`score_map`); only results are stored. Run: `python tests/golden/make_matching.py`.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.ndimage import gaussian_filter

LAYERS = {"s5": (15, 24), "s4": (30, 16), "s3": (60, 8)}  # name -> cells, channels
WEIGHTS = {"s5": 0.3, "s4": 0.2, "s3": 0.1}
SIZES = {"square": ((512, 512), (512, 512)), "mixed": ((427, 640), (500, 375))}  # prompt, image


def inputs(case):
    """Soft mask (H, W) and layers of the prompt, layers of the image; all float32."""
    seed = list(SIZES).index(case)
    rng = np.random.default_rng([3, seed])
    (width, height), _ = SIZES[case]
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    mask = np.clip(1.6 - 4 * np.hypot(y - 0.5, x - 0.45), 0, 1) * (
        rng.random((height, width)) > 0.1
    )
    looks = {name: rng.normal(size=c) for name, (_, c) in LAYERS.items()}
    both = []
    for centre in (0.5, 0.4):
        layers = {}
        for name, (n, c) in LAYERS.items():
            y, x = np.mgrid[:n, :n] / n - centre
            blob = np.exp(-20 * (y**2 + x**2))
            noise = rng.normal(size=(c, n, n))
            layers[name] = (noise + 2 * blob * looks[name][:, None, None]).astype(np.float32)
        both.append(layers)
    return mask.astype(np.float32), *both


def score_map(number):
    """A smooth 60 x 60 float32 score map."""
    noise = np.random.default_rng([5, number]).normal(size=(60, 60))
    return gaussian_filter(noise, 1.0 + number % 5).astype(np.float32)


def cells(layer, size):
    """(c, n, n) -> (60, 60, c): the band of the image, resized."""
    width, height = size
    n = layer.shape[-1]
    sw, sh = width / n, height / n
    if sw > sh:
        p = (n - int(height / sw)) // 2
        layer = layer[:, p : n - p]
    elif sw < sh:
        p = (n - int(width / sh)) // 2
        layer = layer[:, :, p : n - p]
    return F.interpolate(layer[None], (60, 60), mode="nearest")[0].permute(1, 2, 0)


def match(case):
    """Results for one case, named CASE.what."""
    mask, prompt, image = inputs(case)
    small = F.interpolate(torch.from_numpy(mask)[None, None], (60, 60), mode="nearest")
    inside = (-F.max_pool2d(-small, 3, 1, 1))[0, 0] > 0.5
    found = {f"{case}.mask": inside.numpy()}
    total = torch.zeros(60, 60)
    for name, weight in WEIGHTS.items():
        tensors = [torch.from_numpy(layers[name]) for layers in (prompt, image)]
        embedding = F.normalize(cells(tensors[0], SIZES[case][0])[inside].mean(0), dim=0)
        total += weight * F.cosine_similarity(cells(tensors[1], SIZES[case][1]), embedding, dim=2)
        found[f"{case}.embedding.{name}"] = embedding.numpy()
    return found | {f"{case}.similarity": total.numpy()}


def gather(scores):
    """(4, 2) centres, x, y in cells, y slanted; and how near a tie any choice came."""
    torch.manual_seed(0)
    ranked = torch.argsort(torch.from_numpy(scores).flatten(), descending=True, stable=True)[:32]
    points = torch.stack([ranked % 60, ranked / 60], dim=1)
    centres, closest = points[torch.randperm(32)[:4]], np.inf
    for _ in range(20):
        distance = (points[:, None] - centres).norm(dim=2)
        gaps = distance.sort(dim=1).values.diff(dim=1)[:, 0]
        closest = min(closest, float(gaps.nan_to_num(nan=np.inf).min()))
        groups = distance.argmin(dim=1)
        moved = torch.stack([points[groups == c].mean(dim=0) for c in range(4)])
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.numpy(), closest


def main():
    """Writes the file next to this script."""
    found = {}
    for case in SIZES:
        found |= match(case)
    numbers, centres = [], []
    for number in range(4000):
        points, closest = gather(score_map(number))
        # A tie goes where rounding takes it, which depends on the machine.
        if closest > 1e-3 and (len(numbers) < 60 or np.isnan(points).any()):
            numbers.append(number)
            centres.append(points)
    found |= {"maps": np.array(numbers), "centres": np.array(centres)}
    np.savez_compressed(Path(__file__).with_name("matching.npz"), **found)


if __name__ == "__main__":
    main()
