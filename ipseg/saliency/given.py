"""Only the user's own masks: a prompt picture without one is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.errors import ConfigError, PromptError
from ipseg.networks.models import Models


@dataclass
class GivenMask:
    """For benchmarks with ground-truth masks, where a guessed mask would spoil the numbers.

    A mask beside the prompt picture always comes before saliency, whatever its kind; this kind
    only makes sure that saliency never steps in.
    """

    @property
    def gpu_memory_gb(self) -> float:
        """No GPU is used."""
        return 0.0

    def setup(self, models: Models) -> None:
        """Nothing to load."""

    def predict(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """There is no map of an image that nobody drew a mask for.

        Raises:
            ConfigError: always; the matching asks for image saliency.
        """
        raise ConfigError(
            "saliency 'given' has no map for images: set matching.saliency_weight=0, "
            "or choose another saliency.kind"
        )

    def isolate(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Refuses: it is called only for a prompt that has no mask of its own.

        Raises:
            PromptError: always.
        """
        raise PromptError(
            "this prompt has no mask, and saliency 'given' makes none: put NAME.mask.png beside "
            "NAME.jpg (same size, object non-zero), or choose another saliency.kind"
        )
