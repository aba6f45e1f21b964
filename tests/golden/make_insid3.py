"""Writes insid3.npz: INSID3 and FoRIS, restated step by step in NumPy, float64.

Nothing of `ipseg` is used. Inputs come from seeds and are made again by the tests (`scene`); only
results are stored. Run: `python tests/golden/make_insid3.py`.
"""

from pathlib import Path

import numpy as np
from scipy.special import expit, logsumexp
from sklearn.cluster import AgglomerativeClustering

SIDE, CHANNELS, COMPONENTS = 12, 40, 16
ALIKE, THRESHOLD = 0.6, 0.2
CASES = {"one": 1, "three": 3}  # name -> examples


def scene(case):
    """`black` and `target` (c, n, n), `examples` (k, c, n, n), `masks` (k, n, n), `colours`.

    What is of the object has its direction, what is beside it one of three others; some of the
    others are like the object, and all have positions in common.
    """
    rng = np.random.default_rng([7, list(CASES).index(case)])
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    waves = np.stack([np.cos(np.pi * (a * y + b * x)) for a in range(4) for b in range(4) if a + b])
    positions = np.einsum("pyx,pc->cyx", waves, rng.normal(size=(len(waves), CHANNELS)))
    looks = rng.normal(size=(5, CHANNELS))
    looks[4] = 0.7 * looks[4] + 0.5 * looks[0]

    def image(centre):
        labels = 1 + (x > 0.5) + (y > 0.6)
        labels[np.hypot(y - 0.15, x - 0.8) < 0.2] = 4
        inside = np.hypot((y - centre[0]) / 0.3, (x - centre[1]) / 0.2) < 1
        labels[inside] = 0
        features = 2 * looks[labels].transpose(2, 0, 1) + 0.25 * positions
        return features + 0.9 * rng.normal(size=features.shape), inside

    drawn = (image(rng.uniform(0.4, 0.6, 2)) for _ in range(CASES[case]))
    examples, masks = zip(*drawn, strict=True)
    return {
        "black": (positions + 0.1 * rng.normal(size=positions.shape)).astype(np.float32),
        "examples": np.stack(examples).astype(np.float32),
        "masks": np.stack(masks),
        "target": image(rng.uniform(0.4, 0.6, 2))[0].astype(np.float32),
        "colours": rng.uniform(size=(3, SIDE, SIDE)).astype(np.float32),
    }


def unit(values):
    """Rows of length 1; zero stays zero."""
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


def cells(grid):
    """(c, n, n) -> (n * n, c) float64 unit vectors."""
    return unit(grid.reshape(len(grid), -1).T.astype(np.float64))


def clusters(features):
    """The cluster of each row."""
    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - ALIKE
    )
    return model.fit(1 - features @ features.T).labels_


def mean_of(values, labels):
    """Mean of rows for each cluster."""
    return np.stack([values[labels == number].mean(axis=0) for number in range(labels.max() + 1)])


def basis_of(black):
    """(c, k) left singular vectors of the centred features."""
    features = cells(black)
    return np.linalg.svd((features - features.mean(axis=0)).T)[0][:, :COMPONENTS]


def prototype_of(examples, masks):
    """The mean over examples of the mean of the object."""
    means = [e[m].mean(axis=0) for e, m in zip(examples, masks, strict=True)]
    return unit(np.mean(means, axis=0))


def insid3(given):
    """What INSID3 finds, step by step."""
    basis = basis_of(given["black"])
    free = np.eye(CHANNELS) - basis @ basis.T
    raw = cells(given["target"])
    target = unit(raw @ free)
    examples = [unit(cells(each) @ free) for each in given["examples"]]
    masks = [each.ravel() for each in given["masks"]]
    prototype = prototype_of(examples, masks)
    similarity = target @ prototype
    alike = similarity > 0
    if not alike.any():
        alike = similarity > np.quantile(similarity, 0.9)
    pairs = zip(examples, masks, strict=True)
    votes = sum(m[(target @ e.T).argmax(1)].astype(int) for e, m in pairs)
    candidates = alike & (votes >= np.ceil(len(masks) / 2))
    labels = clusters(raw)
    directions = unit(mean_of(raw, labels))
    coverage = mean_of(candidates.astype(float), labels)
    likeness = unit(mean_of(target, labels)) @ prototype
    seed = np.where(coverage > 0, likeness, -np.inf).argmax()
    coverage[seed] = 1
    score = mean_of(similarity, labels) * (directions @ directions[seed]) * coverage
    return {
        "projector": free[::5, ::3],
        "similarity": similarity,
        "candidates": candidates,
        "labels": labels,
        "score": score,
        "mask": (score > THRESHOLD)[labels],
    }


def appearance(features, inside, mean):
    """Parts of the object, and the mean of the fifth of the background that is most like it."""
    labels = clusters(features[inside])
    others = features[~inside]
    hard = np.argsort(-(others @ mean))[: max(1, int(0.2 * len(others)))]
    return unit(mean_of(features[inside], labels)), unit(others[hard].mean(0))


def likeness_of(features, parts):
    """Soft maximum over parts."""
    return 0.07 * logsumexp(features @ parts.T / 0.07, axis=1)


def spread(values):
    """To [0, 1]."""
    return (values - values.min()) / (np.ptp(values) + 1e-6)


def foris(given):
    """The score of each cell by FoRIS; here all cells of a mask are their own nearest ones."""
    basis = basis_of(given["black"])
    free = np.eye(CHANNELS) - basis @ basis.T
    target = cells(given["target"])
    examples = np.stack([cells(each) for each in given["examples"]])
    masks = given["masks"].reshape(len(examples), -1)
    last, middle = unit(examples[-1][masks[-1]].mean(0)), target.mean(0)
    out = last @ middle / (np.linalg.norm(middle) + 1e-6) < 0.8
    if out:
        target, examples = unit(target @ free), unit(examples @ free)
    every, inside = examples.reshape(-1, CHANNELS), masks.ravel()

    parts, hard = appearance(every, inside, unit(every[inside].mean(0)))

    def gate(features, mask):
        ahead = likeness_of(features, parts) - features @ hard
        opened = np.maximum(expit(12 * (ahead - ahead.mean())), mask)
        return (0.1 + 0.9 * opened)[:, None] * features

    gated = gate(target, 0)
    pairs = zip(examples, masks, strict=True)
    nearest = [m[(gated @ gate(e, m).T).argmax(1)] for e, m in pairs]
    votes = np.sum(nearest, axis=0) / len(masks)
    candidates = np.sum(nearest, axis=0) >= np.ceil(len(masks) / 2)

    mean = prototype_of(examples, masks)
    parts, hard = appearance(every, inside, mean)
    hard = unit(hard - hard @ mean * mean)
    like, unlike = likeness_of(target, parts), target @ hard
    score = like - 0.55 * unlike + 0.20 * (votes - 0.5)

    y, x = np.mgrid[:SIDE, :SIDE]
    chosen = candidates | ((y % 2 == 0) & (x % 2 == 0)).ravel()
    places = np.stack([y, x], axis=-1).reshape(-1, 2) / (SIDE - 1) * 2 - 1
    colours = given["colours"].reshape(3, -1).T.astype(np.float64)
    beside = np.concatenate([gated, 0.35 * unit(colours), 0.20 * unit(places)], axis=1)
    labels = clusters(unit(beside[chosen]))
    area = mean_of(candidates[chosen].astype(float), labels)
    cross = mean_of(like[chosen], labels)
    seed = np.where(area > 0, cross * area, -np.inf).argmax()
    directions = unit(mean_of(gated[chosen], labels))
    values = cross * np.maximum(0, directions @ directions[seed]) * area
    values[seed] = max(values[seed], 1e-6)
    prior = np.zeros(len(target))
    prior[chosen] = spread(values)[labels]
    score += 0.25 * (prior - 0.5)

    sf, sb = spread(like), spread(unlike)
    unsure = np.clip(1 - 2 * np.abs(sf - 0.5), 0, 1) ** 1.5
    conflict = 0.08 * (np.abs(sf - votes) + np.abs(sf - prior)) + 0.05 * np.minimum(sf, sb)
    score -= np.minimum(0.22, conflict * unsure)
    labels = clusters(unit(gated))
    a, b = mean_of(sf, labels), mean_of(sb, labels)
    score += np.maximum(-0.12, 0.20 * np.maximum(0, a - b) - 0.18 * np.minimum(a, b))[labels]
    return {"foris.out": out, "foris.prior": prior, "foris.votes": votes, "foris.score": score}


def main():
    """Writes the file next to this script."""
    found = {}
    for case in CASES:
        given = scene(case)
        results = insid3(given) | foris(given)
        found |= {f"{case}.{name}": value for name, value in results.items()}
    for name, value in found.items():
        if np.asarray(value).dtype == np.float64:
            found[name] = value.astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("insid3.npz"), **found)


if __name__ == "__main__":
    main()
