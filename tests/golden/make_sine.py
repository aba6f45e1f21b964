"""Writes sine.npz: SINE's network and its three answers, restated step by step in NumPy, float64.

The decoder is the whole one: all groups of tokens in one sequence, with the mask that keeps them
apart. Weights and features are seeded, so none are stored.

    python tests/golden/make_sine.py
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import torch
from make_persam import gelu, linear, normalised, resize, twice_as_fine
from scipy.special import expit, softmax

from ipseg.methods.sine.architecture import Sizes, on_meta

SIZES = Sizes(encoder=24, width=32, hidden=48, between=16, queries=12, layers=6)
HEADS = 8
SEED = 15
PATCH = 14
# Rows and columns of tokens: of the references, of a square target, and of others.
GRID = (8, 8)
TARGETS = {"square": (8, 8), "wide": (5, 9), "tall": (9, 6)}
STEP = 3  # every third row and column of a mask is kept

Arrays = dict[str, np.ndarray]


def random(name: str, *shape: int) -> np.ndarray:
    """Mean 0, deviation 1, from numpy's legacy generator, whose numbers never change."""
    source = np.random.RandomState(zlib.crc32(f"{SEED} {name}".encode()))
    return math.sqrt(3) * (2 * source.random_sample(shape) - 1)


def seeded_state() -> dict[str, torch.Tensor]:
    """Weights of the trained part; each tensor depends on its name and shape alone."""
    state = {}
    for name, tensor in on_meta(SIZES).state_dict().items():
        shape = tuple(tensor.shape)
        values = random(name, *shape)
        if name.endswith("temp"):
            values = np.array(30.0)
        elif name.endswith("logit_scale"):
            values = np.array(math.log(1 / 0.07))
        elif len(shape) > 1 and "query_" not in name and "neg_class" not in name:
            values /= math.sqrt(math.prod(shape[1:]))
        elif len(shape) == 1:
            values = 0.1 * values + name.endswith("weight")
        state[name] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def features(name: str) -> np.ndarray:
    """(c, h, w) from the neck: of a target by its name, or of a reference."""
    return random(name, SIZES.width, *TARGETS.get(name, GRID)).astype(np.float32)


def reference_masks() -> dict[str, np.ndarray]:
    """Two objects of one class, one of another, on canvases of 112 x 112; with a thin line."""
    side = PATCH * GRID[0]
    y, x = np.mgrid[:side, :side] / side
    first = ((y - 0.4) / 0.25) ** 2 + ((x - 0.5) / 0.2) ** 2 < 1
    first[100, 10:50] = True  # between the pixels that count
    first[95, 70:90] = True  # on them
    return {
        "a": first,
        "b": ((y - 0.6) / 0.1) ** 2 + ((x - 0.3) / 0.2) ** 2 < 1,
        "c": (abs(y - 0.7) < 0.2) & (abs(x - 0.8) < 0.1),
    }


def neck(state: Arrays, cells: np.ndarray) -> np.ndarray:
    """(h, w, e) -> (h, w, c)."""
    name = "image_encoder.neck"
    x = np.einsum("hwe,ce->hwc", cells, state[f"{name}.0.weight"][:, :, 0, 0])
    x = np.pad(normalised(state, f"{name}.1", x, 1e-6), ((1, 1), (1, 1), (0, 0)))
    rows, columns = cells.shape[:2]
    kernel = state[f"{name}.2.weight"]
    y = sum(
        np.einsum("hwc,dc->hwd", x[i : i + rows, j : j + columns], kernel[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )
    return normalised(state, f"{name}.3", y, 1e-6)


def mask_features(state: Arrays, cells: np.ndarray) -> np.ndarray:
    """(h, w, c) -> (4 h, 4 w, c)."""
    x = twice_as_fine(state, "mask_feat_layer.0", cells)
    x = gelu(normalised(state, "mask_feat_layer.1", x, 1e-6))
    return twice_as_fine(state, "mask_feat_layer.3", x)


def pooled(cells: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """Mean features over several masks, each on its own (c, h, w)."""
    total, area = np.zeros(SIZES.width), 0.0
    for features_of, mask in zip(cells, masks, strict=True):
        rows, columns = (4 * n for n in features_of.shape[1:])
        counted = resize(mask.astype(float), rows, columns) > 0
        total += resize(features_of.astype(float), rows, columns)[:, counted].sum(axis=1)
        area += counted.sum()
    return total / (area + 1e-8)


def attend(state: Arrays, name: str, q, k, v, blocked=None) -> np.ndarray:
    width = SIZES.width
    weights, biases = state[f"{name}.in_proj_weight"], state[f"{name}.in_proj_bias"]
    parts = [slice(n * width, (n + 1) * width) for n in range(3)]
    q, k, v = (x @ weights[p].T + biases[p] for x, p in zip((q, k, v), parts, strict=True))
    each = width // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * each, (head + 1) * each)
        scores = q[:, part] @ k[:, part].T / math.sqrt(each)
        if blocked is not None:
            scores = np.where(blocked, -np.inf, scores)
        heads.append(softmax(scores, axis=1) @ v[:, part])
    return linear(state, f"{name}.out_proj", np.concatenate(heads, axis=1))


def norm(state: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return normalised(state, name, x, 1e-5)


def feed(state: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return linear(state, f"{name}.linear2", np.maximum(linear(state, f"{name}.linear1", x), 0))


SELF = "transformer_self_attention_layer"
CROSS = "transformer_cross_attention_layer"


def fuse(state: Arrays, x: np.ndarray, memory: np.ndarray) -> np.ndarray:
    name = "fusion_layers.0"
    x = norm(state, f"{name}.{SELF}.norm", x + attend(state, f"{name}.{SELF}.self_attn", x, x, x))
    seen = attend(state, f"{name}.{CROSS}.multihead_attn", x, memory, memory)
    x = norm(state, f"{name}.{CROSS}.norm", x + seen)
    name = f"{name}.transformer_ffn_layer"
    return norm(state, f"{name}.norm", x + feed(state, name, x))


def code(rows: int, columns: int) -> np.ndarray:
    """(h * w, c): sine and cosine of row and column."""
    half = SIZES.width // 2
    found = np.zeros((rows, columns, 2, half))
    for axis, side in enumerate((rows, columns)):
        for index in range(side):
            for k in range(half):
                angle = 2 * math.pi * (index + 1) / (side + 1e-6)
                angle /= 10000 ** (2 * (k // 2) / half)
                value = math.sin(angle) if k % 2 == 0 else math.cos(angle)
                where = (index, slice(None)) if axis == 0 else (slice(None), index)
                found[(*where, axis, k)] = value
    return found.reshape(rows * columns, SIZES.width)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def places(state: Arrays, fused: np.ndarray, image: np.ndarray, grid) -> np.ndarray:
    """Mean codes about the most similar cells."""
    cosines = unit(fused) @ unit(image).T
    y, x = np.divmod(np.arange(image.shape[0]), grid[1])
    best = cosines.argmax(axis=1)
    away = (y - y[best][:, None]) ** 2 + (x - x[best][:, None]) ** 2
    weights = softmax(state["temp"] * cosines * np.exp(-away / 200), axis=1)
    return weights @ code(*grid)


def heads(state: Arrays, tokens: np.ndarray, m: int, fine: np.ndarray) -> Arrays:
    tokens = norm(state, "decoder_norm", tokens)
    objects = tokens[: m + SIZES.queries]
    hidden = objects
    for layer in range(3):
        hidden = linear(state, f"mask_embed.layers.{layer}", hidden)
        hidden = np.maximum(hidden, 0) if layer < 2 else hidden
    scale = min(math.exp(state["logit_scale"]), 100)
    compared = unit(tokens[m + SIZES.queries :])
    return {
        "id_logits": linear(state, "id_class_embed", tokens[:m]),
        "logits": scale * (unit(objects[m:]) @ compared.T),
        "masks": np.einsum("qc,hwc->qhw", hidden, fine),
    }


def decode(whole: Arrays, ids: np.ndarray, classes: np.ndarray, target: np.ndarray) -> Arrays:
    """All that is predicted, and what it is made of."""
    state = {k.removeprefix("transformer_decoder."): v for k, v in whole.items()}
    m, n, q = len(ids), len(ids) + len(classes), SIZES.queries
    grid = target.shape[1:]
    cells = target.astype(float).transpose(1, 2, 0)
    fine, flat = mask_features(state, cells), cells.reshape(-1, SIZES.width)
    old = np.concatenate([ids, classes])
    fused, image = old + fuse(state, old, flat), flat + fuse(state, flat, old)
    grain = state["query_grained_embed.weight"]
    semantic = np.concatenate([fused[m:], state["neg_class_embed.weight"]]) + grain[2]
    tokens = np.concatenate([fused[:m] + grain[0], state["query_feat.weight"] + grain[1], semantic])
    where = np.concatenate(
        [places(state, fused[:m], image, grid), state["query_embed.weight"], 0 * semantic]
    )
    group = np.repeat([0, 1, 1], [m, q, n - m + 1])
    apart = group[:, None] != group
    first = heads(state, tokens, m, fine)["masks"]
    blocked = expit(resize(first, *grid)).reshape(m + q, -1) < 0.5
    blocked[blocked.all(axis=1)] = False
    keys = image + code(*grid)
    found = {"fused": image, "places": where[:m], "semantic": semantic, "blocked": blocked}
    for number in range(SIZES.layers):
        name = f"transformer_layers.{number}"
        y = norm(state, f"{name}.{SELF}.norm", tokens)
        at = y + where
        tokens = tokens + attend(state, f"{name}.{SELF}.self_attn", at, at, y, apart)
        objects, rest = tokens[: m + q], tokens[m + q :]
        asked = norm(state, f"{name}.{CROSS}.norm", objects) + where[: m + q]
        attended = attend(state, f"{name}.{CROSS}.multihead_attn", asked, keys, image, blocked)
        objects = objects + attended
        parts = []
        for ffn, part in ((1, objects), (2, rest)):
            own = f"{name}.transformer_ffn_layer{ffn}"
            parts.append(part + feed(state, own, norm(state, f"{own}.norm", part)))
        tokens = np.concatenate(parts)
    return found | heads(state, tokens, m, fine)


def back(maps: np.ndarray, inside: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Maps over a canvas -> over the image."""
    rows, columns = (n // 4 * PATCH for n in maps.shape[1:])
    full = resize(maps, rows, columns)[:, : inside[0], : inside[1]]
    return resize(full, *size)


def semantic(found: Arrays, inside, size) -> np.ndarray:
    """(k, *size) scores."""
    masks = found["masks"][-SIZES.queries :]
    rows, columns = (n // 4 * PATCH for n in masks.shape[1:])
    weights = softmax(found["logits"], axis=1)[:, :-1]
    total = np.einsum("qk,qhw->khw", weights, expit(resize(masks, rows, columns)))
    return resize(total[:, : inside[0], : inside[1]], *size)


def scored(logits: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the areas of masks."""
    masks = logits > 0
    inside = (expit(logits) * masks).sum((1, 2)) / (masks.sum((1, 2)) + 1e-6)
    return probability * inside, masks.sum((1, 2))


def numbers() -> Arrays:
    """All that is stored: TARGET.NAME."""
    state = {name: tensor.double().numpy() for name, tensor in seeded_state().items()}
    masks = reference_masks()
    own = {name: features(f"reference {name}") for name in masks}
    each = {name: pooled([own[name]], [mask]) for name, mask in masks.items()}
    both = pooled([own["a"], own["b"]], [masks["a"], masks["b"]])
    tokens = random("tokens", *GRID, SIZES.encoder).astype(np.float32)
    found = {"neck": neck(state, tokens.astype(float)), "together": both}
    found |= {f"pooled.{name}": vector for name, vector in each.items()}
    ids, classes = np.stack([*each.values()]), np.stack([both, each["c"]])
    for name, grid in TARGETS.items():
        target = features(name)
        shots = decode(state, ids, classes, target)
        alone = decode(state, ids[:0], classes, target)  # instances have no identities
        same = decode(state, ids, ids, target)
        inside, size = (PATCH * grid[0] - 11, PATCH * grid[1] - 5), (70, 85)
        probability = softmax(alone["logits"], axis=1)[:, :-1]
        logits = back(alone["masks"], inside, size)
        scores = [scored(logits, p)[0] for p in probability.T]
        present = softmax(same["id_logits"], axis=1)[:, 0]
        id_scores, areas = scored(back(same["masks"][: len(ids)], inside, size), present)
        found |= {
            f"{name}.{key}": shots[key]
            for key in ("fused", "places", "semantic", "blocked", "logits")
        }
        found |= {
            f"{name}.masks": shots["masks"][len(ids) :, ::STEP, ::STEP],
            f"{name}.class_scores": semantic(shots, inside, size)[:, ::STEP, ::STEP],
            f"{name}.instance_scores": np.stack(scores, axis=1),
            f"{name}.instance_areas": scored(logits, np.ones(1))[1],
            f"{name}.id_logits": same["id_logits"],
            f"{name}.id_masks": same["masks"][: len(ids), ::STEP, ::STEP],
            f"{name}.id_scores": id_scores,
            f"{name}.id_areas": areas,
        }
    return {
        key: np.packbits(v) if v.dtype == bool else v.astype(np.float32) for key, v in found.items()
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("sine.npz"), **numbers())
