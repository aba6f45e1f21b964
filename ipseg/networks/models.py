"""Where learned models are and how they run: folder, device, precision.

torch is only imported when a model is used, so a profile without learned weights works without
torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
        tf32: on NVIDIA cards, float32 products of encoders in TF32, which has 10 bits of mantissa.
            Off, float32 is float32 on every card, whatever PyTorch has by default (it takes TF32
            for convolutions). Masks are always decoded in float32 without it.
    """

    root: str | None = None
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    tf32: bool = False

    @property
    def arithmetic(self) -> dict[str, Any]:
        """The settings that change results; `tf32` only where it is on: older runs have none."""
        return {"precision": self.precision} | ({"tf32": True} if self.tf32 else {})

    def torch_device(self) -> torch.device:
        """The device for models."""
        import torch

        if self.device != "auto":
            return torch.device(self.device)
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    @property
    def in_use(self) -> str:
        """The precision that 'auto' stands for here, or the one that is set."""
        import torch

        if self.precision != "auto":
            return self.precision
        if self.torch_device().type != "cuda":
            return "float32"
        # Older cards take bfloat16 too, but convert every number.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native else "float16"

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """A context in which encoders run in the chosen precision.

        On NVIDIA cards it sets PyTorch's TF32 switches, which are the process's, and leaves them
        off: what runs outside of it is exact.
        """
        import torch

        device = self.torch_device()
        dtype: torch.dtype = getattr(torch, self.in_use)
        enabled = dtype is not torch.float32
        cast = torch.autocast(device.type, dtype if enabled else torch.bfloat16, enabled=enabled)
        if device.type != "cuda":
            with cast:
                yield
            return
        set_tf32(self.tf32)
        try:
            with cast:
                yield
        finally:
            set_tf32(False)

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


def set_tf32(on: bool) -> None:
    """Has float32 products and convolutions on NVIDIA cards run in TF32, or not.

    By the two calls that set PyTorch's old and new switches alike: torch.compile refuses a mixture.
    """
    import torch

    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on


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
