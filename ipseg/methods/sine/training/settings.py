"""Settings of a training; the defaults are the released ones without its two mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from ipseg.methods.sine.architecture import RELEASED, Sizes
from ipseg.methods.sine.mformer import AttentionMask
from ipseg.networks.models import Models

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Decoder:
    """Sizes of what is trained.

    Attributes:
        width: channels.
        hidden: units of feed-forward parts.
        between: channels on the way to the mask features.
        queries: learned instance tokens.
        layers: of the decoder.
        attention_mask: `frozen` decides before the first layer where a token may look, as released;
            `each_layer` before each, as in Mask2Former.
    """

    width: Annotated[int, Field(ge=8, multiple_of=8)] = RELEASED.width
    hidden: Annotated[int, Field(ge=1)] = RELEASED.hidden
    between: Annotated[int, Field(ge=1)] = RELEASED.between
    queries: Annotated[int, Field(ge=1)] = RELEASED.queries
    layers: Annotated[int, Field(ge=1)] = RELEASED.layers
    attention_mask: AttentionMask = "frozen"

    def sizes(self, encoder: int) -> Sizes:
        """For an encoder of so many channels."""
        return Sizes(encoder, self.width, self.hidden, self.between, self.queries, self.layers)


@dataclass(frozen=True)
class Pairs:
    """How pairs of a reference and a target are drawn.

    Attributes:
        side: pixels of the square canvas.
        same_image: probability that the target is the reference's image, augmented anew.
        flip: probability of a mirrored image.
        smallest: least size of an image, as a share of the canvas.
        largest: greatest size.
        panoptic: weight of panoptic collections; those at hand have equal shares in it.
        instance: weight of the others.
        objects365: images of Objects365 for each of another instance collection.
        tries: draws after which a collection is refused in which no pair has an object left.
    """

    side: Annotated[int, Field(gt=0)] = 896
    same_image: Share = 0.5
    flip: Share = 0.5
    smallest: Annotated[float, Field(gt=0)] = 0.1
    largest: Annotated[float, Field(gt=0)] = 2.0
    panoptic: Weight = 2.0
    instance: Weight = 5.0
    objects365: Weight = 3.0
    tries: Annotated[int, Field(ge=1)] = 1000

    def __post_init__(self) -> None:
        if self.largest < self.smallest:
            raise ValueError("pairs.largest is below pairs.smallest")


@dataclass(frozen=True)
class Losses:
    """What is made small, before the first layer and after each.

    Attributes:
        points: of a mask at which it is compared.
        oversampled: candidates for each of them.
        uncertain: share that are the most uncertain candidates; the rest is anywhere.
        classes: weight of the classes of instances.
        identities: weight of whether objects are there.
        bce: weight of the cross-entropy of masks.
        dice: weight of their overlap.
        nothing: weight of an instance that is none, and of an object that is absent.
        id_pairs: which objects of two images are the same one: `same_image`: those with one number
            if both are crops of one image; `equal_ids`: also in other images, as released, where
            ADE20K has the same numbers for other objects.
    """

    points: Annotated[int, Field(ge=1)] = 12544
    oversampled: Annotated[float, Field(ge=1)] = 3.0
    uncertain: Share = 0.75
    classes: Weight = 2.0
    identities: Weight = 2.0
    bce: Weight = 5.0
    dice: Weight = 5.0
    nothing: Annotated[float, Field(gt=0)] = 0.1
    id_pairs: Literal["same_image", "equal_ids"] = "same_image"


@dataclass(frozen=True)
class Optimisation:
    """How weights move.

    Attributes:
        steps: of the optimiser.
        warm_up: steps in which the rate grows from 0; it falls to 0 at the last one.
        rate: the highest.
        decay: of weights, but those of LayerNorms and embeddings.
        clip: greatest length of the gradient.
        batch: pairs that a worker has in memory at a time.
        accumulate: such batches in a step.
        loss_scale: `once` divides the loss by `accumulate`; `twice` again, as released: gradients
            are smaller, so that fewer are clipped.
        seed: of weights, pairs and points.
    """

    steps: Annotated[int, Field(ge=1)] = 50_000
    warm_up: Annotated[int, Field(ge=0)] = 100
    rate: Annotated[float, Field(gt=0)] = 1e-4
    decay: Annotated[float, Field(ge=0)] = 0.05
    clip: Annotated[float, Field(gt=0)] = 1.0
    batch: Annotated[int, Field(ge=1)] = 2
    accumulate: Annotated[int, Field(ge=1)] = 4
    loss_scale: Literal["once", "twice"] = "once"
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Saving:
    """What is written how often; changes nothing of the result.

    Attributes:
        checkpoint_steps: steps between two checkpoints: what is lost at most.
        log_steps: steps between two entries for TensorBoard.
        threads: of a worker that read and cut images.
    """

    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    log_steps: Annotated[int, Field(ge=1)] = 10
    threads: Annotated[int, Field(ge=1)] = 4


@dataclass(frozen=True)
class Training:
    """All of it.

    Attributes:
        encoder: the DINOv2 that stays as it is: hub id, folder, or the released .pth; not used
            where `start` has one in it.
        start: weights to go on from, the released file for example; null starts from random ones.
            A DINOv2 in it is taken, and written with what is trained.
        decoder: sizes of what is trained.
        pairs: how they are drawn.
        losses: what is made small.
        optimisation: how weights move.
        saving: what is written how often.
        models: where weights come from, and how DINOv2 runs.
    """

    encoder: str = "facebook/dinov2-large"
    start: str | None = None
    decoder: Decoder = field(default_factory=Decoder)
    pairs: Pairs = field(default_factory=Pairs)
    losses: Losses = field(default_factory=Losses)
    optimisation: Optimisation = field(default_factory=Optimisation)
    saving: Saving = field(default_factory=Saving)
    models: Models = field(default_factory=lambda: Models(precision="float32"))


# For a few minutes on a CPU, with an encoder of any size.
TINY: dict[str, Any] = {
    "decoder": {"width": 64, "hidden": 128, "between": 32, "queries": 16, "layers": 2},
    "pairs": {"side": 112, "smallest": 0.8, "largest": 1.4},
    "losses": {"points": 1024},
    "optimisation": {
        **{"steps": 1500, "warm_up": 50, "rate": 1e-3, "decay": 0.01},
        **{"batch": 8, "accumulate": 1},
    },
    "saving": {"checkpoint_steps": 100, "threads": 1},
}
