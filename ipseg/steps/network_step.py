"""The base of steps with networks: loads each once in a worker, declares the memory it takes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ipseg.networks.models import Models
from ipseg.networks.shared import Part, WithoutNetwork, network_key, shared
from ipseg.rows import Resources, Step


@dataclass(kw_only=True)
class NetworkStep(Step):
    """A step some of whose fields are parts with networks, or dicts of such parts.

    `setup` replaces them by the loaded parts of this process: steps that name equal parts use one.

    Attributes:
        models: where weights come from and how they run; `ipseg.methods.chain` fills it in.
    """

    models: Models = field(default_factory=Models, repr=False)

    loads_model: ClassVar[bool] = True

    @property
    def networks(self) -> list[Part]:
        """The parts and what they share with others, each once."""
        found: list[Part] = []
        for value in self._parts().values():
            found += value.values() if isinstance(value, dict) else [value]
        found += [each for part in found for each in getattr(part, "inner", ())]
        return list({network_key(part): part for part in found}.values())

    @property
    def resources(self) -> Resources:
        """One core, and the GPU memory that its parts declare together."""
        return Resources(gpu_memory_gb=sum(part.gpu_memory_gb for part in self.networks))

    @property
    def thread_safe(self) -> bool:
        """Yes, unless a network is among the parts: a pass leaves traces in some of them."""
        return all(isinstance(part, WithoutNetwork) for part in self.networks)

    def setup(self) -> None:
        """Loads the parts.

        Raises:
            WeightsError: weights are missing or damaged.
        """
        for name, value in self._parts().items():
            if isinstance(value, dict):
                loaded: Any = {kind: shared(part, self.models) for kind, part in value.items()}
            else:
                loaded = shared(value, self.models)
            setattr(self, name, loaded)

    def _parts(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if _is_part(value)}


def _is_part(value: object) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(isinstance(part, Part) for part in value.values())
    return isinstance(value, Part)
