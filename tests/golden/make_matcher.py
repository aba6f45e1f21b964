"""Writes matcher.npz: Matcher's matching, scores and merging, restated in NumPy and float64.

Nothing of `ipseg` is used; transports are solved as linear programs. Inputs come from seeds and
are made again by the tests. Run: `python tests/golden/make_matcher.py`.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment, linprog

CELLS, PATCH, CHANNELS = 11, 14, 24
SIDE = CELLS * PATCH
# Name -> noise of the image, radius of each example's object in pixels; 0 for an empty mask.
CASES = {"clear": (0.4, [45]), "weak": (4.0, [60]), "two": (0.8, [30, 50]), "lost": (0.8, [0])}
CONFIGS = {
    "fss": {"weights": (0.8, 0.2, 1), "coverage": 0, "purity": 0, "most": 10},
    "coco": {"weights": (1, 0, 0), "coverage": 0, "purity": 0.02, "most": 9},
    "part": {"weights": (0.5, 0.5, 0), "coverage": 0.3, "purity": 0, "most": 5},
}


def disc(radius, y=SIDE / 2, x=SIDE / 2):
    """(SIDE, SIDE) bool."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.hypot(rows - y, columns - x) < radius


def inputs(case):
    """Tokens of the examples and of the image, masks of the examples, proposed masks."""
    noise, radii = CASES[case]
    random = np.random.default_rng([16, list(CASES).index(case)])
    scene = random.normal(size=(CELLS, CELLS, CHANNELS))
    y, x = np.mgrid[:CELLS, :CELLS] - CELLS // 2
    scene += 3 * np.exp(-(y**2 + x**2) / 8)[..., None] * random.normal(size=CHANNELS)

    def seen(moved, noise):
        found = np.roll(scene, moved, (0, 1)) + noise * random.normal(size=scene.shape)
        return found.reshape(-1, CHANNELS).astype(np.float32)

    examples = [seen((0, 0), 0.3 * number) for number in range(len(radii))]
    image = seen((2, -1), noise)
    masks = [disc(radius) for radius in radii]
    proposed = [disc(40, SIDE / 2 + 28, SIDE / 2 - 14), disc(2, 100, 60), disc(0)]
    proposed += [disc(random.uniform(10, 60), *random.uniform(30, 124, 2)) for _ in range(9)]
    return examples, image, masks, np.stack(proposed)


def pooled(masks):
    """(n, SIDE, SIDE) -> (n, CELLS * CELLS): any pixel in the cell."""
    cells = masks.reshape(len(masks), CELLS, PATCH, CELLS, PATCH)
    return cells.any(axis=(2, 4)).reshape(len(masks), -1)


def unit(tokens):
    tokens = tokens.astype(np.float64)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def match(examples, image, masks):
    """Cells that match, cosines from the object's cells."""
    inside = pooled(np.stack(masks)).ravel()
    if not inside.any():
        inside = np.tile(np.arange(CELLS**2) == CELLS**2 // 2, len(masks))
    cosines = unit(np.concatenate(examples)) @ unit(image).T
    sources = np.flatnonzero(inside)
    rows, targets = linear_sum_assignment(-cosines[sources])
    _, back = linear_sum_assignment(-cosines[:, targets].T)
    pairs = [pair for pair, cell in enumerate(back) if inside[cell]] or list(range(len(targets)))
    if len(pairs) > 40:
        pairs.sort(key=lambda pair: -cosines[sources[rows[pair]], targets[pair]])
        pairs = pairs[: len(pairs) // 2]
    return np.sort(targets[pairs]), cosines[sources]


def transport(costs):
    """The earth mover's distance with equal weights."""
    rows, columns = costs.shape
    sums = np.concatenate(
        [np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))]
    )
    weights = np.concatenate([np.full(rows, 1 / rows), np.full(columns, 1 / columns)])
    return linprog(costs.ravel(), A_eq=sums, b_eq=weights, method="highs").fun


def scores(points, cosines, proposed):
    """(n, 3): purity, coverage, likeness."""
    found = []
    for mask, cells in zip(proposed, pooled(proposed), strict=True):
        hit = mask[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].ravel()[points].sum()
        seen = cells if cells.any() else np.ones_like(cells)
        likeness = 1 - transport((1 - cosines[:, seen]) / 2)
        found.append((hit / max(cells.sum(), 1) + 1e-6, hit / len(points) + 1e-6, likeness))
    return np.array(found)


def answer(values, proposed, config):
    """(SIDE, SIDE) bool: the union of the masks that are chosen."""
    wanted = CONFIGS[config]
    left = list(range(len(proposed)))
    for column, least in ((1, wanted["coverage"]), (0, wanted["purity"])):
        highest = max(values[each, column] for each in left)
        left = [each for each in left if values[each, column] >= min(least, highest)]
    alpha, beta, power = wanted["weights"]
    total = {e: alpha * values[e, 2] + beta * values[e, 0] * values[e, 1] ** power for e in left}
    left.sort(key=lambda each: -total[each])
    if config == "coco":
        near = [e for e in left if 1 - total[e] < 0.33] or left[:1]
        best, worst = 1 - total[near[0]], 1 - total[near[-1]] + 1e-6
        left = [e for e in near if (1 - total[e] - best) / worst < 0.1]
        left = left[: wanted["most"]]
    else:
        highest = total[left[0]]
        left = [e for e in left[: wanted["most"]] if total[e] > 0.7 * highest]
    return proposed[left].any(axis=0)


def main():
    """Writes the file next to this script."""
    found = {}
    for case in CASES:
        examples, image, masks, proposed = inputs(case)
        points, cosines = match(examples, image, masks)
        values = scores(points, cosines, proposed)
        found |= {f"{case}.points": points, f"{case}.scores": values}
        for config in CONFIGS:
            chosen = answer(values, proposed, config)
            found[f"{case}.{config}"] = np.packbits(chosen)
    np.savez_compressed(Path(__file__).with_name("matcher.npz"), **found)


if __name__ == "__main__":
    main()
