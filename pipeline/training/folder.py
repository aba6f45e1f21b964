"""The folder of a training: what it goes on with, and what `ipseg segment` takes.

OUT/checkpoint.pt   weights, state of the optimiser, step and settings; replaced as a whole
OUT/sine.pth        the weights by their released names; the encoder's only if they came with it
OUT/profile.yaml    a profile with these weights
OUT/tables/         what was read of annotation files
OUT/tensorboard/    losses and rates
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from ipseg.errors import ConfigError, OutputError
from ipseg.methods.sine.training.annotated import Place
from ipseg.methods.sine.training.learner import Learner
from ipseg.methods.sine.training.settings import Training
from ipseg.parts import settings_of
from ipseg.storage.files import write_whole
from pipeline.runfolder.manifest import differences

_FORMAT = 1


@dataclass(frozen=True)
class TrainingFolder:
    """Where a training writes.

    Attributes:
        out: path on a disk that all workers see.
    """

    out: Path

    @property
    def checkpoint(self) -> Path:
        """What a training goes on with."""
        return self.out / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """For `network.weights`."""
        return self.out / "sine.pth"

    @property
    def profile(self) -> Path:
        """For `--profile`."""
        return self.out / "profile.yaml"

    @property
    def tables(self) -> Path:
        """What was read of annotation files."""
        return self.out / "tables"

    @property
    def tensorboard(self) -> Path:
        """For `tensorboard --logdir`."""
        return self.out / "tensorboard"

    def read(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """The checkpoint: `step`, `network`, `optimiser`; None if there is none.

        Args:
            identity: of this training, see `identity_of`.

        Raises:
            ConfigError: it is of another configuration; names each difference.
            OutputError: it is damaged.
        """
        if not self.checkpoint.exists():
            return None
        try:
            found = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise OutputError(
                f"checkpoint {self.checkpoint} cannot be read ({type(error).__name__}); start over "
                f"with --overwrite"
            ) from error
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise OutputError(f"{self.checkpoint} is no checkpoint of this version of ipseg train")
        if changes := list(differences(found["identity"], identity)):
            listed = "\n  ".join(changes)
            raise ConfigError(
                f"{self.checkpoint} is of another configuration:\n  {listed}\n"
                f"set them back, choose another --out, or start over with --overwrite"
            )
        return found

    def write(self, learner: Learner, step: int, training: Training, identity: Any) -> None:  # noqa: ANN401
        """Writes checkpoint, weights and profile after so many steps.

        Raises:
            OSError: they cannot be written; what is there stays.
        """
        state = {"format": _FORMAT, "step": step, "identity": identity, **learner.state()}
        write_whole(str(self.checkpoint), _saved(state))
        write_whole(str(self.weights), _saved({**state["network"], **learner.own_encoder}))
        about = (
            f"# Weights after {step} steps of `ipseg train sine`. `task` may be instance or\n"
            f"# identity, too.\n"
        )
        text = about + yaml.safe_dump(self._profile(training, learner), sort_keys=False)
        write_whole(str(self.profile), text.encode())

    def _profile(self, training: Training, learner: Learner) -> dict[str, Any]:
        models: dict[str, Any] = {"precision": training.models.precision}
        if training.models.root is not None:
            models["root"] = str(Path(training.models.root).expanduser().resolve())
        encoder = self.weights if learner.own_encoder else Path(training.encoder)
        return {
            "method": "sine",
            "task": "semantic",
            "support": {"kind": "mask"},
            "network": {
                "weights": str(self.weights),
                "encoder": str(encoder.resolve() if encoder.exists() else encoder),
                "layers": training.decoder.layers,
            },
            "canvas": {"side": training.pairs.side, "fit": "long_side"},
            "asking": {"attention_mask": training.decoder.attention_mask},
            "models": models,
        }


def identity_of(training: Training, places: list[Place], workers: int) -> dict[str, Any]:
    """What must be the same for a training to go on: plain data.

    The number of workers may change if batches become smaller or larger by as much.
    """
    identity: dict[str, Any] = settings_of(training)
    del identity["saving"]
    identity["models"] = {"precision": training.models.precision}
    identity["optimisation"]["batch"] = f"{workers * training.optimisation.batch} of all workers"
    identity["data"] = {place.name: f"{place.objects} objects" for place in places}
    return identity


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
