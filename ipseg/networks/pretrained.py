"""Loading networks of the transformers library from a folder or a safetensors file."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from ipseg.errors import WeightsError
from ipseg.networks.checkpoint import listed_tensors
from ipseg.networks.pixels import IMAGENET_MEAN, IMAGENET_STD

# Exceptions of the libraries for truncated, empty or foreign files, or other shapes.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)

# The libraries build their classes at run time, so there are no useful types.
Network: TypeAlias = Any

_log = logging.getLogger(__name__)


def load_network(
    location: str,
    classes: Mapping[str, type[PreTrainedModel]],
    ignored: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A network with all its weights, on the CPU, in eval mode.

    Args:
        location: a folder from `save_pretrained` or the hub, or a .safetensors file next to its
            config.json.
        classes: the `model_type` in config.json -> the class to load.
        ignored: prefixes of tensors in the file that are not part of the network, such as heads.
            Other unexpected tensors mean another architecture.
        dtype: of the weights.

    Raises:
        WeightsError: no config.json, another type of model, a damaged file, or tensors that are
            missing, unexpected or of another shape; names the file and what to do.
    """
    path = Path(location)
    folder = path if path.is_dir() else path.parent
    model_type = str(settings_beside(location).get("model_type"))
    if model_type not in classes:
        raise WeightsError(
            f"{path} contains a model of type '{model_type}', expected {' or '.join(classes)}; "
            f"set other weights, or the kind of features for these"
        )
    network_class: Any = classes[model_type]

    def load() -> tuple[Network, Mapping[str, Any]]:
        if path.is_dir():
            source: dict[str, Any] = {"pretrained_model_name_or_path": str(path)}
        else:
            source = {
                "pretrained_model_name_or_path": None,
                "config": network_class.config_class.from_pretrained(str(folder)),
                "state_dict": load_file(path),
            }
        return network_class.from_pretrained(
            **source,
            dtype=dtype,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # reported later, with their names
            output_loading_info=True,
        )

    with quiet():
        return ready(path, load, ignored)


def ready(
    path: Path,
    load: Callable[[], tuple[Network, Mapping[str, Any]]],
    ignored: tuple[str, ...] = (),
) -> Network:
    """A network in eval mode, whose weights match it exactly.

    Args:
        path: file or folder of the weights.
        load: gives the network, and `missing_keys`, `unexpected_keys` and `mismatched_keys` from
            transformers or diffusers.
        ignored: prefixes of unexpected names to ignore.

    Raises:
        WeightsError: they are damaged; or names the first three tensors of each kind that do not
            match, and the count.
    """
    try:
        network, found = load()
    except DAMAGED as error:
        raise unreadable(path, error) from error
    unexpected = sorted(k for k in found["unexpected_keys"] if not k.startswith(ignored))
    reshaped = sorted(str(entry[0]) for entry in found["mismatched_keys"])
    faults = [
        listed_tensors("tensors missing", sorted(found["missing_keys"])),
        listed_tensors("tensors unexpected", unexpected),
        listed_tensors("tensors of another shape", reshaped),
    ]
    if any(faults):
        raise WeightsError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(filter(None, faults))}; "
            f"check that the file belongs to the config.json next to it"
        )
    network.requires_grad_(False)
    return network.eval()


def unreadable(path: Path, error: Exception) -> WeightsError:
    """The error for weights that a library could not read, with the reason from the library.

    Args:
        path: the file, or its folder.
        error: from the library.
    """
    if isinstance(error, pickle.UnpicklingError):
        # The message of the library suggests loading the file anyway.
        reason = "it is damaged, or contains Python objects that could run code, not only tensors"
    else:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
    files = [*path.glob("*.safetensors"), *path.glob("*.bin")] if path.is_dir() else []
    named = files[0] if len(files) == 1 else path
    return WeightsError(
        f"weights {named} cannot be read ({reason}); delete them and get them again with "
        f"`ipseg weights fetch PROFILE`"
    )


def normalisation(location: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of RGB in [0, 1] from the training of a network.

    Read from the preprocessor_config.json next to the weights; those of ImageNet, with a warning,
    if there is none. A .pth file is one of a release, which has ImageNet's in its code.
    """
    path = Path(location)
    if path.suffix == ".pth":
        return IMAGENET_MEAN, IMAGENET_STD
    settings = (path if path.is_dir() else path.parent) / "preprocessor_config.json"
    if settings.exists():
        values = _settings(settings)
        if "image_mean" in values and "image_std" in values:
            return tuple(values["image_mean"]), tuple(values["image_std"])
    _log.warning("%s has no mean and deviation; using those of ImageNet", settings)
    return IMAGENET_MEAN, IMAGENET_STD


def settings_beside(location: str) -> dict[str, Any]:
    """The config.json of weights, in their folder or beside their file.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    path = Path(location)
    return _settings((path if path.is_dir() else path.parent) / "config.json")


def _settings(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise WeightsError(
            f"no {path.name} in {path.parent}; weights are a folder like on the hub "
            f"(config.json next to model.safetensors), or a .safetensors file in such a folder"
        ) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is not a JSON object; get the folder again")
    return values


@contextmanager
def quiet() -> Iterator[None]:
    """Disables the progress bars and the report of the library; `check_tensors` replaces it."""
    library: Any = transformers_logging
    verbosity, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(verbosity)
        if bars:
            library.enable_progress_bar()
