"""Writes persam.npz: PerSAM and PerSAM-F, restated step by step in NumPy and float64.

The package segment_anything encodes images and decodes plain prompts, as its own predictor does.
All else is written out here: enlarging, points, the guided decoder from the tensors of its state
dict, the losses with their derivatives, AdamW. Weights are seeded, so none are stored.

    python tests/golden/make_persam.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import skimage.data
import torch
from make_sam import TINY, tiny_state
from scipy.special import erf, expit, softmax
from segment_anything import SamPredictor

REFERENCE = "cat"
MASK_VALUE = 128
HEADS = 8
ITERATIONS, RATE = 1000, 1e-3
GRID, EMBED = TINY.side // TINY.patch, TINY.embed

Arrays = dict[str, np.ndarray]


def photos() -> Arrays:
    """The reference, landscape, and another image, portrait."""
    coffee = skimage.data.coffee()
    return {REFERENCE: skimage.data.chelsea()[::2, ::2], "cup": coffee[:300, 200:360]}


def reference_mask() -> np.ndarray:
    """(150, 226) bool: an ellipse about the cat's face."""
    y, x = np.mgrid[:150, :226]
    return ((y - 70) / 55) ** 2 + ((x - 110) / 60) ** 2 < 1


def resize(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(..., h, w) -> (..., rows, columns), bilinear, centres aligned, no averaging."""
    for axis, size in ((-2, rows), (-1, columns)):
        old = values.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, None)
        low = np.minimum(place.astype(int), old - 1)
        high = np.minimum(low + 1, old - 1)
        shape = (-1, 1) if axis == -2 else (-1,)
        share = (place - low).reshape(shape)
        values = (1 - share) * values.take(low, axis) + share * values.take(high, axis)
    return values


def enlarge(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Maps over SAM's square -> over the image."""
    height, width = image.shape[:2]
    scale = TINY.side / max(height, width)
    square = resize(values, TINY.side, TINY.side)
    inside = square[..., : int(height * scale + 0.5), : int(width * scale + 0.5)]
    return resize(inside, height, width)


# The guided decoder.


def linear(state: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def normalised(state: Arrays, name: str, x: np.ndarray, eps: float) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def attend(state: Arrays, name: str, q, k, v, guide=None) -> np.ndarray:
    q, k, v = (linear(state, f"{name}.{n}_proj", x) for n, x in (("q", q), ("k", k), ("v", v)))
    width = q.shape[1] // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        weights = softmax(q[:, part] @ k[:, part].T / math.sqrt(width), axis=1)
        if guide is not None:
            weights = softmax(weights + guide, axis=1)
        heads.append(weights @ v[:, part])
    return linear(state, f"{name}.out_proj", np.concatenate(heads, axis=1))


def perceptron(state: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    x = np.maximum(linear(state, f"{name}.layers.0", x), 0)
    x = np.maximum(linear(state, f"{name}.layers.1", x), 0)
    return linear(state, f"{name}.layers.2", x)


def twice_as_fine(state: Arrays, name: str, cells: np.ndarray) -> np.ndarray:
    """Transposed convolution, 2 x 2 with stride 2: (h, w, c) -> (2 h, 2 w, d)."""
    fine = np.einsum("hwc,cdij->hiwjd", cells, state[f"{name}.weight"])
    rows, columns = 2 * cells.shape[0], 2 * cells.shape[1]
    return fine.reshape(rows, columns, -1) + state[f"{name}.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def guided(state: Arrays, cells, places, prompt, attention, target) -> tuple[np.ndarray, float]:
    """Logits (4 h, 4 w) of the one candidate, and its predicted IoU.

    `cells` and `places` are (h * w, c), `prompt` (n, c).
    """
    decoder = {k.removeprefix("mask_decoder."): v for k, v in state.items()}
    learned = [decoder["iou_token.weight"], decoder["mask_tokens.weight"]]
    tokens = np.concatenate([*learned, prompt])
    tokens += target  # in place: from here on, it is in the tokens' positions as well
    x = tokens.copy()
    for number in range(TINY.decoder_depth):
        name = f"transformer.layers.{number}"
        if number == 0:
            x = attend(decoder, f"{name}.self_attn", x, x, x)
        else:
            x += target
            x = x + attend(decoder, f"{name}.self_attn", x + tokens, x + tokens, x)
        x = normalised(decoder, f"{name}.norm1", x, 1e-5)
        to_image = f"{name}.cross_attn_token_to_image"
        x = x + attend(decoder, to_image, x + tokens, cells + places, cells, attention.ravel())
        x = normalised(decoder, f"{name}.norm2", x, 1e-5)
        hidden = np.maximum(linear(decoder, f"{name}.mlp.lin1", x), 0)
        x = normalised(
            decoder, f"{name}.norm3", x + linear(decoder, f"{name}.mlp.lin2", hidden), 1e-5
        )
        to_token = f"{name}.cross_attn_image_to_token"
        cells = cells + attend(decoder, to_token, cells + places, x + tokens, x)
        cells = normalised(decoder, f"{name}.norm4", cells, 1e-5)
    last = "transformer.final_attn_token_to_image"
    x = x + attend(decoder, last, x + tokens + target, cells + places, cells)
    x = normalised(decoder, "transformer.norm_final_attn", x, 1e-5)
    fine = twice_as_fine(decoder, "output_upscaling.0", cells.reshape(GRID, GRID, -1))
    fine = gelu(normalised(decoder, "output_upscaling.1", fine, 1e-6))
    fine = gelu(twice_as_fine(decoder, "output_upscaling.3", fine))
    mask = fine @ perceptron(decoder, "output_hypernetworks_mlps.0", x[1])
    return mask, perceptron(decoder, "iou_prediction_head", x[0])[0]


# PerSAM-F's tuning.


def tune(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(3,) weights for (3, n) logits and (n,) truth."""
    free, mean, square = np.full(2, 1 / 3), np.zeros(2), np.zeros(2)
    y, n = truth.astype(float), truth.size
    for step in range(ITERATIONS):
        z = (1 - free.sum()) * logits[0] + free @ logits[1:]
        p = expit(z)
        above, below = 2 * (p * y).sum() + 1, p.sum() + y.sum() + 1
        dice = -(2 * y / below - above / below**2) * p * (1 - p)
        # Focal loss: -a (1 - q)^2 log q, q the probability of the right side.
        sign, a = 2 * y - 1, np.where(truth, 0.25, 0.75)
        log_q, q = -np.logaddexp(0, -sign * z), expit(sign * z)
        focal = a * sign * (1 - q) ** 2 * (2 * q * log_q - (1 - q)) / n
        gradient = (logits[1:] - logits[0]) @ (dice + focal)

        rate = RATE * (1 + math.cos(math.pi * step / ITERATIONS)) / 2
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        free = free * (1 - rate * 0.01)
        corrected = mean / (1 - 0.9 ** (step + 1))
        free -= rate * corrected / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-4)
    return np.array([1 - free.sum(), *free])


# The two methods.


class Sam:
    """The package's predictor, and what the guided decoder needs of it."""

    def __init__(self) -> None:
        sam = TINY.build()
        sam.load_state_dict(tiny_state(), assign=True)
        self.predictor = SamPredictor(sam.eval())
        self.state = {k: v.double().numpy() for k, v in sam.state_dict().items()}

    def see(self, image: np.ndarray) -> np.ndarray:
        """(c, h, w) embedding."""
        self.predictor.set_image(image)
        return self.predictor.get_image_embedding()[0].numpy().astype(float)

    def mask_cells(self, mask: np.ndarray) -> np.ndarray:
        """(h, w) bool: cells of the reference's features that count as object."""
        drawn = np.repeat(mask[..., None] * np.uint8(MASK_VALUE), 3, axis=2)
        pixels = torch.from_numpy(self.predictor.transform.apply_image(drawn)).permute(2, 0, 1)
        square = self.predictor.model.preprocess(pixels[None].float())
        return resize(square[0, 0].numpy().astype(float), GRID, GRID) > 0

    def guided(self, points, labels, attention, target) -> tuple[np.ndarray, float]:
        model, predictor = self.predictor.model, self.predictor
        coords = predictor.transform.apply_coords(points, predictor.original_size)
        with torch.no_grad():
            sparse, dense = model.prompt_encoder(
                points=(torch.tensor(coords).float()[None], torch.tensor(labels)[None]),
                boxes=None,
                masks=None,
            )
            cells = (predictor.get_image_embedding() + dense)[0]
            places = model.prompt_encoder.get_dense_pe()[0]
        flat = (x.flatten(1).T.numpy().astype(float) for x in (cells, places))
        return guided(self.state, *flat, sparse[0].numpy().astype(float), attention, target)


def tight_box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


def located(features: np.ndarray, target: np.ndarray, image: np.ndarray) -> tuple:
    """Cosines, the most and the least similar pixel (x, y), and the attention map."""
    length = np.linalg.norm(features, axis=0) * np.linalg.norm(target)
    cosines = np.einsum("chw,c->hw", features, target) / length
    full = enlarge(resize(cosines, 4 * GRID, 4 * GRID), image)
    places = [np.unravel_index(index, full.shape)[::-1] for index in (full.argmax(), full.argmin())]
    standard = (full - full.mean()) / full.std(ddof=1)
    return cosines, np.array(places), expit(resize(standard, GRID, GRID))


def persam(sam: Sam, features: np.ndarray, target: np.ndarray, image: np.ndarray) -> Arrays:
    cosines, points, attention = located(features, target, image)
    labels = np.array([1, 0])
    logits, iou = sam.guided(points, labels, attention, target)
    found = {"cosines": cosines, "points": points, "attention": attention}
    found |= {"logits1": logits, "iou1": np.array([iou])}
    box, again = None, logits[None].astype(np.float32)
    for number in (2, 3):
        masks, ious, low = sam.predictor.predict(points, labels, box, again)
        best = ious.argmax()
        found |= {f"logits{number}": low[best], f"iou{number}": ious, f"mask{number}": masks[best]}
        if number == 2:
            box, again = tight_box(masks[best]), low[best : best + 1]
            found["box3"] = box
    return found


def persam_f(sam: Sam, features, target, weights, image) -> Arrays:
    points = located(features, target, image)[1][:1]
    labels = np.array([1])
    low = sam.predictor.predict(points, labels)[2]
    again = np.einsum("c,chw->hw", weights, low)[None]
    mask = np.einsum("c,chw->hw", weights, enlarge(low.astype(float), image)) > 0
    found = {"points": points, "logits1": again[0], "mask1": mask}
    for number in (2, 3):
        found[f"box{number}"] = box = tight_box(mask)
        masks, ious, low = sam.predictor.predict(points, labels, box, again.astype(np.float32))
        best = ious.argmax()
        mask, again = masks[best], low[best : best + 1]
        found |= {f"logits{number}": again[0], f"iou{number}": ious, f"mask{number}": mask}
    return found


def numbers() -> Arrays:
    """All that is stored: METHOD.IMAGE.NAME; of logits the best candidate, every second number."""
    sam, mask, images = Sam(), reference_mask(), photos()
    features = sam.see(images[REFERENCE])
    cells = sam.mask_cells(mask)
    inside = features[:, cells]
    mean = inside.mean(axis=1)
    middle = (mean + inside.max(axis=1)) / 2
    point = located(features, middle, images[REFERENCE])[1][:1]
    low = sam.predictor.predict(point, np.array([1]))[2].astype(float)
    weights = tune(enlarge(low, images[REFERENCE]).reshape(3, -1), mask.ravel())
    found = {"cells": cells, "persam.target": mean, "persam_f.target": middle}
    found["persam_f.weights"] = weights
    for name, image in images.items():
        features = sam.see(image)
        answers = {
            "persam": persam(sam, features, mean, image),
            "persam_f": persam_f(sam, features, middle, weights, image),
        }
        for method, answer in answers.items():
            found |= {f"{method}.{name}.{key}": value for key, value in answer.items()}
    return {key: _small(key, values) for key, values in found.items()}


def _small(key: str, values: np.ndarray) -> np.ndarray:
    if values.dtype == bool:
        return np.packbits(values)
    return (values[::2, ::2] if "logits" in key else values).astype(np.float32)


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("persam.npz"), **numbers())
