"""No saliency, only given masks: a prompt image without one is an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipseg.errors import ConfigError, PromptError
from ipseg.networks.models import Models


@dataclass
class GivenMask:
    """For benchmarks with ground-truth masks, where an estimated mask would falsify the numbers.

    A mask given with a prompt image always takes precedence over saliency of any kind; with this
    kind, prompts without a mask are refused.
    """

    @property
    def gpu_memory_gb(self) -> float:
        """No GPU is used."""
        return 0.0

    def setup(self, models: Models) -> None:
        """Nothing to load."""

    def predict(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Refuses: there is no saliency map of other images.

        Raises:
            ConfigError: always; the matching needs saliency maps of images.
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
            "this prompt has no mask, and saliency 'given' makes none: put NAME.mask.png next to "
            "NAME.jpg (same size, object non-zero), or choose another saliency.kind"
        )
