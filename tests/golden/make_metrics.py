"""Writes metrics.npz: the formulas restated on sets of pixels, and DAVIS' with plain NumPy.

Nothing of `ipseg` is used. Masks come from seeds and are made again by the tests (`images`,
`sequences`, `pair`); only results are stored. Run: `python tests/golden/make_metrics.py`.
"""

from pathlib import Path

import numpy as np

CLASSES = (2, 5, 9)  # of (2, 5, 9, 12): of 12 no image is drawn
SIZES = ((48, 64), (40, 37), (64, 51), (33, 70))
OBJECTS = {"walk": (2, 12), "run": (1, 11)}  # sequence -> objects, frames that are scored
FRAME = (90, 160)


def blob(rng, shape, centre, radius, ragged=0.1):
    """A disc with a ragged edge and holes."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - centre[0], x - centre[1]) + rng.normal(0, radius * ragged, shape)
    return (distance < radius) & (rng.random(shape) > ragged / 5)


def images():
    """(class, prediction, truth, ignore), 12 of them; the prediction of the sixth is empty."""
    rng = np.random.default_rng([7, 0])
    made = []
    for class_id in CLASSES:
        for shape in SIZES:
            centre = np.array(shape) * rng.uniform(0.35, 0.65, 2)
            radius = min(shape) * rng.uniform(0.15, 0.4)
            truth = blob(rng, shape, centre, radius)
            moved = blob(rng, shape, centre + rng.normal(0, radius / 2, 2), radius)
            ignore = np.zeros(shape, bool)
            ignore[:20] = ignore[-7:] = True
            made.append((class_id, moved & (len(made) != 5), truth, ignore & ~truth))
    return made


def sequences():
    """Sequence -> (truth, prediction), each (frames, H, W) maps of object numbers."""
    made = {}
    for number, (name, (objects, frames)) in enumerate(OBJECTS.items()):
        rng = np.random.default_rng([7, 1, number])
        both = np.zeros((2, frames, *FRAME), np.uint8)
        for frame in range(frames):
            for thing in range(1, objects + 1):
                centre = np.array([20 + 40 * (thing - 1), 20 + 9 * frame])
                if name == "walk" or frame not in (3, 4):
                    both[0, frame][blob(rng, FRAME, centre, 15)] = thing
                if name == "walk" or frame not in (4, 6):
                    drift = rng.normal(0, 0.4 * frame * thing, 2)
                    both[1, frame][blob(rng, FRAME, centre + drift, 15)] = thing
        made[name] = (both[0], both[1])
    return made


def pair():
    """(truth, prediction, void) of 300 x 534 pixels: outlines may lie five pixels apart."""
    rng = np.random.default_rng([7, 2])
    shape = (300, 534)
    void = np.zeros(shape, bool)
    void[100:140, 200:400] = True
    truth, predicted = (
        blob(rng, shape, (150, 260), 90, 0.01),
        blob(rng, shape, (156, 268), 84, 0.01),
    )
    return truth, predicted, void


def pixels(mask):
    return set(map(tuple, np.argwhere(mask).tolist()))


def region(predicted, truth, ignore):
    """pixels, intersection, union, truth, predicted."""
    judged = pixels(~ignore)
    p, t = pixels(predicted) & judged, pixels(truth) & judged
    return [len(judged), len(p & t), len(p | t), len(t), len(p)]


def outline(mask):
    """Coordinates of pixels unlike the one to the right, below, or both; borders repeat."""
    height, width = mask.shape
    found = []
    for y in range(height):
        for x in range(width):
            down, right = min(y + 1, height - 1), min(x + 1, width - 1)
            if {mask[y, right], mask[down, x], mask[down, right]} - {mask[y, x]}:
                found.append((y, x))
    return np.array(found).reshape(-1, 2)


def boundary(predicted, truth):
    """Outline pixels of the ground truth, those near the other; the same of the prediction."""
    reach = np.ceil(0.008 * np.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    lines = [outline(truth), outline(predicted)]
    near = [0, 0]
    if len(lines[0]) and len(lines[1]):
        apart = np.sqrt(((lines[0][:, None] - lines[1]) ** 2).sum(2))
        near = [(apart.min(1) <= reach).sum(), (apart.min(0) <= reach).sum()]
    return [len(lines[0]), near[0], len(lines[1]), near[1]]


def f_value(truth, truth_near, predicted, predicted_near):
    precision, recall = 1.0, 1.0
    if predicted == 0 and truth > 0:
        recall = 0.0
    elif predicted > 0 and truth == 0:
        precision = 0.0
    elif predicted > 0:
        precision, recall = predicted_near / predicted, truth_near / truth
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def statistics(frames):
    """Mean, recall, decay."""
    bounds = np.round(np.linspace(1, len(frames), 5) + 1e-10).astype(int) - 1
    quarters = [frames[bounds[n] : bounds[n + 1] + 1] for n in range(4)]
    return [np.mean(frames), np.mean(frames > 0.5), np.mean(quarters[0]) - np.mean(quarters[3])]


def few_shot(found, name, counts, classes):
    """The formulas on regions, from (images, 5) counts."""
    _, inside, union, truth, _ = counts.T
    around = np.stack([counts[:, 0] - union, counts[:, 0] - inside])
    of = [np.flatnonzero(np.equal(classes, c)) for c in CLASSES]
    ious = [inside[n].sum() / union[n].sum() for n in of]
    found[f"{name}.counts"] = counts
    found[f"{name}.A"] = sum(ious) / 4
    found[f"{name}.A'"] = sum(ious) / 3
    found[f"{name}.B"] = np.mean(inside / union)
    found[f"{name}.C"] = np.mean((inside / union + around[0] / around[1]) / 2)
    found[f"{name}.D"] = (inside.sum() / union.sum() + around[0].sum() / around[1].sum()) / 2
    found[f"{name}.P"] = sum(inside[n].sum() / (union[n].sum() + 1e-10) for n in of) / 4
    found[f"{name}.P.mAcc"] = sum(inside[n].sum() / (truth[n].sum() + 1e-10) for n in of) / 4


def main():
    found = {}
    made = images()
    classes = [image[0] for image in made]
    judged = [region(p, t, v) for _, p, t, v in made]
    whole = [region(p, t, np.zeros_like(t)) for _, p, t, _ in made]
    few_shot(found, "ignore", np.array(judged), classes)
    few_shot(found, "plain", np.array(whole), classes)
    objects = []
    for name, (truth, predicted) in sequences().items():
        for thing in range(1, OBJECTS[name][0] + 1):
            frames = [(p == thing, t == thing) for p, t in zip(predicted, truth, strict=True)]
            lines = np.array([boundary(p, t) for p, t in frames])
            j = [(p & t).sum() / (p | t).sum() if (p | t).any() else 1.0 for p, t in frames]
            f = [f_value(*line) for line in lines]
            found[f"{name}/{thing}.boundary"] = lines
            found[f"{name}/{thing}.J"], found[f"{name}/{thing}.F"] = np.array(j), np.array(f)
            objects.append([*statistics(np.array(j)), *statistics(np.array(f))])
    names = ("J", "J.recall", "J.decay", "F", "F.recall", "F.decay")
    found |= dict(zip(names, np.array(objects).T, strict=True))  # one value for each object
    truth, predicted, void = pair()
    found["pair.boundary"] = np.array(boundary(predicted, truth))
    found["pair.void.boundary"] = np.array(boundary(predicted & ~void, truth & ~void))
    np.savez_compressed(Path(__file__).with_name("metrics.npz"), **found)


if __name__ == "__main__":
    main()
