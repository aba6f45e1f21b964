"""Writes gf_sam.npz: GF-SAM from tokens to the mask, restated in NumPy and float64 cell by cell.

Nothing of `ipseg` is used. Inputs come from seeds and are made again by the tests.
Run: `python tests/golden/make_gf_sam.py`.
"""

from pathlib import Path

import numpy as np

GRID, SIDE, CHANNELS = 13, 256, 24
# Name -> radius of each example's object in pixels (0: none), how the masks of points are drawn.
CASES = {
    "one": ([60], "near"),
    "shots": ([70, 45, 0], "near"),
    "lost": ([0], "near"),
    "astray": ([60], "far"),
    "broad": ([110], "wide"),
}


def disc(radius, y, x):
    """(SIDE, SIDE) bool."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.hypot(rows - y, columns - x) < radius


def inputs(case):
    """Raw tokens of the examples and of the image, masks of the examples."""
    radii, _ = CASES[case]
    random = np.random.default_rng([17, list(CASES).index(case)])
    look, around = random.normal(size=(2, CHANNELS))
    y, x = np.mgrid[:GRID, :GRID] - GRID // 2

    def seen(moved, strength):
        bell = np.exp(-((y - moved[0]) ** 2 + (x - moved[1]) ** 2) / 12)[..., None]
        noise = random.normal(size=(GRID, GRID, CHANNELS))
        tokens = noise + strength * bell * look + 0.6 * (1 - bell) * around
        return tokens.reshape(-1, CHANNELS).astype(np.float32)

    examples = [seen((0, 0), 2.0) for _ in radii]
    return examples, seen((2, -3), 1.6), [disc(r, SIDE / 2, SIDE / 2) for r in radii]


def masks(case, cells):
    """(n, SIDE, SIDE) bool: what a segmenter answers for points at cells (n, 2) column, row."""
    how = CASES[case][1]
    found = []
    for column, row in cells:
        random = np.random.default_rng([18, int(column), int(row)])
        y, x = (row + 0.5) * SIDE / GRID, (column + 0.5) * SIDE / GRID
        if how == "far":
            y, x = random.uniform(20, SIDE - 20, 2)
        shift = random.normal(0, 6, 2)
        radius = random.uniform(6, 60 if how == "wide" else 30)
        found.append(disc(radius, y + shift[0], x + shift[1]))
    return np.array(found)


def directions(tokens):
    tokens = tokens.astype(np.float64)
    tokens = tokens / np.linalg.norm(tokens, axis=0)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def sampled(values, places):
    """Bilinear values of (SIDE, SIDE) at places along either axis, as a flat grid."""
    low = np.clip(np.floor(places).astype(int), 0, SIDE - 1)
    high, part = np.minimum(low + 1, SIDE - 1), places - np.floor(places)
    rows = values[low] * (1 - part)[:, None] + values[high] * part[:, None]
    return (rows[:, low] * (1 - part) + rows[:, high] * part).ravel()


def between_corners(mask):
    return sampled(mask.astype(float), np.arange(GRID) * (SIDE - 1) / (GRID - 1))


def about_middles(mask):
    return sampled(mask.astype(float), (np.arange(GRID) + 0.5) * SIDE / GRID - 0.5)


def priors(examples, image, objects):
    """Highest and mean likeness to the object, mean likeness to the rest; over all examples."""
    shares = [between_corners(mask) for mask in objects]
    if not any(each.any() for each in shares):
        shares = [np.eye(GRID**2)[GRID**2 // 2] for _ in shares]
    found = []
    for tokens, share in zip(examples, shares, strict=True):
        cosines = directions(tokens) @ directions(image).T
        inside, outside = cosines * share[:, None], cosines * (1 - share)[:, None]
        found.append(
            (
                inside.max(axis=0),
                inside.mean(axis=0) / (share.mean() + 1e-7),
                outside.mean(axis=0) / (1 - share.mean() + 1e-7),
            )
        )
    return np.mean(found, axis=0)


def spread(values):
    return (values - values.min()) / (np.ptp(values) + 1e-6)


def points(highest, mean, rest):
    """Cells (n, 2) column, row, and the alignment that they are the highest of."""
    aligned = spread(highest * mean)
    aligned[spread(rest) > aligned] = 0
    count = min(max(int(aligned.sum()), int(aligned.sum() > 0)), 128)
    best = np.argsort(-aligned, kind="stable")[:count]
    return np.array(sorted((cell % GRID, cell // GRID) for cell in best)), aligned


def components(covers):
    """Number of the cluster of each point, by flooding."""
    labels = np.full(len(covers), -1)
    for start in range(len(covers)):
        edge = [start] if labels[start] < 0 else []
        label = labels.max() + 1
        while edge:
            here = edge.pop()
            if labels[here] < 0:
                labels[here] = label
                edge += np.flatnonzero(covers[here] | covers[:, here]).tolist()
    return labels


def first_gate(found, labels, mean, rest):
    """Whether each mask is accepted, and what decides if none is."""
    margin = mean**2 - rest * (mean.max() + mean.min()) / 2
    soft = [about_middles(mask) for mask in found]
    worth = [each @ margin / max(each.sum(), 1e-7) for each in soft]
    accepted, otherwise = np.zeros(len(found), bool), np.zeros(len(found))
    for label in set(labels):
        members = [n for n in np.argsort(-np.array(worth), kind="stable") if labels[n] == label]
        covered = np.zeros(GRID**2)
        for number in members:
            added = np.maximum(soft[number] - covered, 0)
            gain = added[margin > 0].sum() - added[margin <= 0].sum()
            if gain > 0:
                accepted[number] = True
                covered = np.maximum(covered, soft[number])
        otherwise[members] = gain
    return accepted, otherwise


def second_gate(found, labels, cells, image):
    """Whether each point is nearer to its own cluster's looks than to another's."""
    vectors = directions(image)
    flat = cells[:, 1] * GRID + cells[:, 0]
    rows = []
    for label in range(labels.max() + 1):
        share = between_corners(found[labels == label].any(axis=0))
        likeness = (share @ (vectors @ vectors[flat].T)) / len(share) / (share.mean() + 1e-7)
        away = np.linalg.norm(cells[:, None] - cells[labels == label], axis=2).min(axis=1)
        rows.append(likeness / np.where(away == 0, 1, away))
    own = np.argmax(rows, axis=0) == labels
    for label in set(labels):
        mine = labels == label
        if (~own[mine]).sum() > own[mine].sum():
            own[mine] = False
    return own


def answer(found, accepted, own, otherwise):
    chosen = np.flatnonzero(accepted & own)
    if not len(chosen):
        chosen = [np.argmax(np.where(accepted ^ own, otherwise, 0))]
    return found[chosen].any(axis=0)


def main():
    """Writes the file next to this script."""
    kept = {}
    for case in CASES:
        examples, image, objects = inputs(case)
        known = priors(examples, image, objects)
        cells, aligned = points(*known)
        found = masks(case, cells)
        corners = (np.arange(GRID) * SIDE / GRID).astype(int)
        covers = found[:, corners[cells[:, 1]], corners[cells[:, 0]]]
        labels = components(covers)
        accepted, otherwise = first_gate(found, labels, *known[1:])
        own = second_gate(found, labels, cells, image)
        mask = answer(found, accepted, own, otherwise)
        values = {"priors": known, "aligned": aligned, "cells": cells, "labels": labels}
        values |= {"accepted": accepted, "otherwise": otherwise, "own": own}
        kept |= {f"{case}.{name}": value for name, value in values.items()}
        kept[f"{case}.mask"] = np.packbits(mask)
        print(case, len(cells), labels.max() + 1, accepted.sum(), own.sum(), mask.sum())  # noqa: T201
    np.savez_compressed(Path(__file__).with_name("gf_sam.npz"), **kept)


if __name__ == "__main__":
    main()
