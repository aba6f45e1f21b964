"""How SINE is asked, and what becomes of its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ipseg.errors import ConfigError
from ipseg.methods.sine.answers import Overlaps
from ipseg.methods.sine.mformer import AttentionMask

Task = Literal["semantic", "instance", "identity"]


@dataclass(frozen=True)
class Semantic:
    """One mask for each class.

    Attributes:
        threshold: of the sum over all instances, above which a pixel is of the class. The sum is
            no probability: it can be above 1.
    """

    threshold: Annotated[float, Field(ge=0)] = 0.7


@dataclass(frozen=True)
class Instances:
    """One mask for each object of a class.

    Attributes:
        limit: the most objects in an image, of all classes that are looked for together. Where
            more are there more likely than not, the log says so, and so does the evidence
            `beyond_limit` of those that are kept.
        min_score: an object's score is above it.
    """

    limit: Annotated[int, Field(ge=1)] = 100
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True)
class Identity:
    """One mask for the very object of the example.

    Attributes:
        min_presence: the least probability that the object is there; 0 never takes it for absent,
            as released.
    """

    min_presence: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True)
class Asking:
    """How the network is asked for the concepts of a row.

    Attributes:
        concepts: `apart`: each in a pass of the decoder of its own, so that what is found of one
            does not depend on the others; `together`: all in one pass, in which they compete, as
            released for instances and videos. The image is encoded once in both cases.
        overlaps: of the masks of semantic and identity, if concepts are asked for together: `keep`
            leaves them; `best` gives each pixel to the concept with the highest value there;
            `last` to the one that a row asks for last (by name, where it asks for all), as released
            for videos, in which that is the highest number of an object.
        attention_mask: `frozen`: where a token may look is decided once, as in the release, whose
            weights were trained so; `each_layer`: before each layer, as in Mask2Former.
    """

    concepts: Literal["apart", "together"] = "apart"
    overlaps: Overlaps = "keep"
    attention_mask: AttentionMask = "frozen"

    def check(self, task: Task) -> None:
        """Refuses what has no meaning.

        Raises:
            ConfigError: masks that are found apart, or instances, are to share pixels out.
        """
        if self.overlaps == "keep":
            return
        if self.concepts == "apart":
            raise ConfigError(
                f"asking.overlaps={self.overlaps} compares concepts, which asking.concepts=apart "
                f"does not: set asking.concepts=together, or asking.overlaps=keep"
            )
        if task == "instance":
            raise ConfigError("asking.overlaps is for task=semantic and task=identity: set keep")


@dataclass(frozen=True)
class Settings:
    """All of it.

    Attributes:
        task: `semantic`: all that is of the class of the example; `instance`: each object of that
            class by itself; `identity`: the very object of the example.
        asking: how concepts are asked for.
        semantic: for that task.
        instance: for that task.
        identity: for that task.
    """

    task: Task = "semantic"
    asking: Asking = field(default_factory=Asking)
    semantic: Semantic = field(default_factory=Semantic)
    instance: Instances = field(default_factory=Instances)
    identity: Identity = field(default_factory=Identity)

    def __post_init__(self) -> None:
        self.asking.check(self.task)
