"""Random weights of every network, in the real formats and under the published names.

They cannot segment, but run the whole code path without real weights: same classes, same files,
same names of tensors. Tiny ones are 16 MB instead of 20 GB; those of the published size are for
measuring what a machine does with them.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ipseg.errors import OutputError
from ipseg.features.odise import ODISE_PREFIX, odise_shapes
from ipseg.networks.pixels import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD
from ipseg.networks.pretrained import quiet
from ipseg.weights import stand_in
from ipseg.weights.architectures import (
    CORNET_FILE,
    FOLDERS,
    SAM_FILES,
    SAM_FOLDERS,
    SINE_FILE,
    networks,
)
from ipseg.weights.counters import COUNTER_FILES
from ipseg.weights.finding import TINY_MARK
from ipseg.weights.grounding import GROUNDING_WORDS
from ipseg.weights.prompted import GROUPVIT, SAM3
from ipseg.weights.stand_in import BiRefNet, BiRefNetConfig

_SEED = 2310
_CLIP = "openai/clip-vit-large-patch14-336"
_ODISE_FILE = "odise_label_coco_50e-b67d2efc.pth"
_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_GROUNDING = "IDEA-Research/grounding-dino-tiny"
_BIREFNET = "ZhengPeng7/BiRefNet"
_IMAGENET = {"image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}
_OPENAI = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD}
_STEP = 7  # see `_filters`
# Deviation of tables, by parts of their names: they have no fan-in to derive it from.
_TABLES = {
    # Of GroupViT, where otherwise all is one group.
    5.0: ("vision_model.embeddings.position_embeddings", "group_token"),
    1.0: (
        *("assign.q_proj", "assign.k_proj"),
        *("gaussian_matrix", "shared_image_embedding", "shared_embedding"),  # frequencies
        *("query_feat", "query_embed", "query_grained_embed", "neg_class_embed"),
    ),
    0.3: (
        *("position", "pos_embed", "rel_pos", "token"),
        *("point_embed", "not_a_point", "no_mask_embed"),
    ),
}

# Numbers that a training starts from.
_SCALARS = {"temp": 30.0, "logit_scale": math.log(1 / 0.07)}

Source: TypeAlias = np.random.Generator | torch.Generator
Make: TypeAlias = Callable[[Any, tuple[int, ...], float], Tensor]


def write_tiny(folder: Path) -> dict[str, str]:
    """Writes tiny weights for all names in the catalogue; always the same bytes.

    Args:
        folder: for `models.root`; created if missing.

    Returns:
        Name of each file below `folder` -> its sha256.

    Raises:
        OutputError: the folder contains other files, which could be real weights, or cannot be
            written.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / TINY_MARK).exists():
            raise OutputError(
                f"{folder} is not empty; tiny weights have the names of real ones, so they need a "
                f"folder of their own"
            )
        about = {"about": "random weights for trying the code; they cannot segment"}
        # First, because this can be interrupted.
        _write_json(folder / TINY_MARK, about | {"files": {}})
        with quiet():
            _write_all(folder)
        sums = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != TINY_MARK
        }
        _write_json(folder / TINY_MARK, about | {"files": sums})
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return sums


def write_random(folder: Path, names: Collection[str], device: torch.device | None) -> None:
    """Writes random weights of these names, of the published size unless they are to be tiny.

    Args:
        folder: for `models.root`.
        names: of weights in the catalogue.
        device: where the numbers are drawn: gigabytes, which a GPU does in no time. None writes
            tiny weights.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        _write_all(folder, names, device)


def _write_all(
    folder: Path, names: Collection[str] | None = None, device: torch.device | None = None
) -> None:
    """Tiny weights; with a device those of the published size. None as names are all."""

    def wanted(*known: str) -> list[str]:
        return [name for name in known if names is None or name in names]

    tiny = device is None
    for name in wanted(*FOLDERS, *SAM_FOLDERS):
        with device or nullcontext():
            found = networks(name, tiny=tiny)
        for part, network in found.items():
            network.load_state_dict(random_state(network, name, device))
            network.save_pretrained(folder / name / part)
        if name != _DIFFUSION:
            statistics = _OPENAI if name.startswith("openai/") else _IMAGENET
            _write_json(folder / name / "preprocessor_config.json", statistics)
    for name in wanted(SAM3, GROUPVIT):
        _write_tokenizer(folder / name)
    if wanted(_DIFFUSION):
        _write_tokenizer(folder / _DIFFUSION / "tokenizer")
        _write_schedule(folder / _DIFFUSION / "scheduler")
    for name in wanted(*SAM_FILES, CORNET_FILE, SINE_FILE):
        with torch.device("meta"):
            network = networks(name, tiny=tiny)[""]
        torch.save(random_state(network, name, device), folder / name)
    for name in wanted(*COUNTER_FILES):
        with torch.device("meta"):
            network = networks(name, tiny=tiny)[""]
        state, key = random_state(network, name, device), COUNTER_FILES[name]
        torch.save(state if key is None else {key: state}, folder / name)
    if wanted(_GROUNDING):
        _write_words(folder / _GROUNDING)
    if wanted(_BIREFNET):
        _write_birefnet(folder / _BIREFNET)
    if wanted(_ODISE_FILE):
        torch.save({"model": _odise(tiny=tiny)}, folder / _ODISE_FILE)


def random_state(
    network: nn.Module, name: str, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Random tensors that keep the scale of signals from layer to layer.

    Each tensor depends only on its name and shape, on `name`, and on the kind of device.

    Args:
        network: for names, shapes and values of integer tensors.
        name: of the weights.
        device: where the numbers are drawn and lie; None draws by numpy on the CPU, always the
            same ones.
    """
    # These have a ResNet, which has one size.
    small = device is None and (name == CORNET_FILE or name in COUNTER_FILES)
    make = _filters if small else _normal
    return {
        key: torch.tensor(_SCALARS[key.rpartition(".")[2]], device=device)
        if key.endswith(tuple(_SCALARS))
        else _random_tensor(f"{name} {key}", tensor, make, device)
        for key, tensor in network.state_dict().items()
    }


def _random_tensor(key: str, like: Tensor, make: Make, device: torch.device | None) -> Tensor:
    shape = tuple(like.shape)
    if not like.is_floating_point():
        zeros = torch.zeros(shape, dtype=like.dtype, device=device)
        return like.clone() if not like.is_meta else zeros
    seed = zlib.crc32(key.encode())
    random: Source = (
        np.random.default_rng([_SEED, seed])
        if device is None
        else torch.Generator(device).manual_seed(seed)
    )
    for deviation, names in _TABLES.items():
        if any(name in key for name in names):
            return _normal(random, shape, deviation)
    if len(shape) > 1:
        return make(random, shape, 1 / math.sqrt(math.prod(shape[1:])))
    values = _normal(random, shape, 0.05)
    if key.endswith("running_var"):
        return 1 + values.abs()
    if key.endswith(("layers.2.bias", "proj_out.bias")):  # outputs of SAM
        # Masks do not fill the image, and predicted IoUs are in [0, 1].
        return values + (-0.4 if "hypernetworks" in key else 0.5)
    counting = key.endswith(("regressor.8.bias", "decode_head3.3.bias"))  # outputs of counters
    # Of norms and residual branches.
    return values + (0.5 if counting else key.endswith(("weight", "lambda1")))


def _normal(random: Source, shape: tuple[int, ...], deviation: float) -> Tensor:
    if isinstance(random, torch.Generator):
        return deviation * torch.randn(shape, generator=random, device=random.device)
    return deviation * torch.from_numpy(random.standard_normal(shape, dtype=np.float32))


def _filters(random: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Tensor:
    """A tensor of any size from few values: each filter starts shortly after the previous one.

    A .pth file contains the storage of a tensor and its strides. So `cornet`, which has a fixed
    size (28 million parameters), takes 4 MB instead of 114 and loads like the real file.
    """
    length = math.prod(shape[1:])
    numbers = _normal(random, (length + _STEP * (shape[0] - 1),), deviation)
    inner = torch.empty(shape[1:], device="meta").stride()
    return numbers.as_strided(shape, (_STEP, *inner))


def _write_schedule(folder: Path) -> None:
    from diffusers import DDPMScheduler

    scheduler_class: Any = DDPMScheduler
    scheduler = scheduler_class(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    scheduler.save_pretrained(folder)


def _odise(*, tiny: bool) -> dict[str, Tensor]:
    """The four tensors of ODISE that are used, for the UNet and CLIP."""
    with torch.device("meta"):
        unet = networks(_DIFFUSION, tiny=tiny)["unet"]
        clip = networks(_CLIP, tiny=tiny)[""]
    channels = unet.time_embedding.linear_2.out_features
    random = np.random.default_rng(_SEED)
    return {
        f"{ODISE_PREFIX}{name}": _normal(random, shape, 0.2)
        for name, shape in odise_shapes(channels, clip.config.projection_dim).items()
    }


def _write_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer with single bytes as tokens: 256 within a word, 256 at its end."""
    marks = ("<|startoftext|>", "<|endoftext|>")
    letters = [chr(0x100 + byte) for byte in range(256)]  # any 256 printable characters
    words = [*letters, *(f"{letter}</w>" for letter in letters), *marks]
    _write_json(folder / "vocab.json", {word: index for index, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    start, end = marks
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    _write_json(folder / "special_tokens_map.json", special)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    _write_json(folder / "tokenizer_config.json", settings)


def _write_words(folder: Path) -> None:
    """BERT's tokenizer with letters as words, and its marks where a detector expects them."""
    letters = [chr(ord("a") + number) for number in range(26)]
    words = [f"[unused{number}]" for number in range(GROUNDING_WORDS)]
    words[:1], words[100:104] = ["[PAD]"], ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words[1012], words[1029] = ".", "?"
    words[200:226], words[300:326] = letters, [f"##{letter}" for letter in letters]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    _write_json(folder / "tokenizer_config.json", settings)


def _write_birefnet(folder: Path) -> None:
    """A small network of the same interface; the code of the real one is part of its weights."""
    network = BiRefNet(BiRefNetConfig())
    folder.mkdir(parents=True, exist_ok=True)
    save_file(random_state(network, _BIREFNET), folder / "model.safetensors")
    for name in ("BiRefNet_config.py", "birefnet.py"):
        (folder / name).write_bytes(Path(stand_in.__file__).read_bytes())
    code = {
        "AutoConfig": "BiRefNet_config.BiRefNetConfig",
        "AutoModelForImageSegmentation": "birefnet.BiRefNet",
    }
    _write_json(folder / "config.json", {"architectures": ["BiRefNet"], "auto_map": code})


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n")
