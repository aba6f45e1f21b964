"""Where learned models are and how they run: folder, device, precision.

torch is only imported when a model is used, so a profile without learned weights works without
torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ipseg.errors import WeightsError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Models:
    """Settings of all learned models.

    Attributes:
        root: folder with weights: `ROOT/<name>` for a file, `ROOT/<hub id>` or its last part for a
            folder. It takes precedence over paths and the Hugging Face cache, which are used alone
            if it is None.
        device: 'auto' takes CUDA, then Apple's MPS, then the CPU; or a torch device name.
        precision: of computations. 'auto' is bfloat16 on CUDA GPUs that support it, float16 on
            older ones, float32 elsewhere. Weights stay float32 (autocast).
    """

    root: str | None = None
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    def torch_device(self) -> torch.device:
        """The device for models."""
        import torch

        if self.device != "auto":
            return torch.device(self.device)
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def autocast(self) -> torch.autocast:
        """A context in which networks run in the chosen precision."""
        import torch

        device = self.torch_device()
        precision: str = self.precision
        if precision == "auto" and device.type == "cuda":
            precision = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        dtype: torch.dtype = getattr(torch, "float32" if precision == "auto" else precision)
        enabled = dtype is not torch.float32
        return torch.autocast(device.type, dtype if enabled else torch.bfloat16, enabled=enabled)

    def locate(self, name: str, revision: str = "main") -> str:
        """The location of the weights `name`: an existing path, or the snapshot folder of a hub id.

        Args:
            name: a path, a file name such as 'sam_vit_h_4b8939.pth', or a hub id 'owner/model'.
            revision: branch, tag or commit of a hub id in the Hugging Face cache; folders and files
                are taken as they are.

        Raises:
            WeightsError: they do not exist; says where they were searched and how to get them.
        """
        candidates = [Path(name).expanduser()]
        if self.root is not None:
            root = Path(self.root).expanduser()
            candidates = [root / name, root / name.rpartition("/")[2], *candidates]
        for candidate in candidates:
            if candidate.exists():
                return str(candidate)
        if is_hub_id(name) and (cached := _cached_snapshot(name, revision)) is not None:
            return cached
        searched = ", ".join(str(candidate) for candidate in candidates)
        cache = " and the Hugging Face cache" if is_hub_id(name) else ""
        raise WeightsError(
            f"weights '{name}' not found (searched {searched}{cache}); get them with "
            f"`ipseg weights fetch PROFILE`, or set models.root to their folder"
        )


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a Hugging Face hub id: OWNER/MODEL."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _cached_snapshot(name: str, revision: str) -> str | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
    )

    try:
        return str(snapshot_download(name, revision=revision, local_files_only=True))
    except IncompleteSnapshotError as error:
        return error.snapshot_path  # not all files of a repository are needed
    except (LocalEntryNotFoundError, HFValidationError):
        return None
