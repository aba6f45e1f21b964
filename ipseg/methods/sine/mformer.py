"""The M-Former: tokens of references and of an image -> logits and masks.

Three groups of tokens: *identity*, one for each reference object; *instances*, learned queries;
*classes*, one for each class of the references and one for everything else. After the fusion,
identity tokens see no other group and no other group sees them, so the two paths run apart, and a
task takes the one that it needs.

Source: SINE (Liu et al., NeurIPS 2024), section 3 and released code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ipseg.methods.sine.layers import DecoderLayer, FusionLayer, Perceptron, finer
from ipseg.methods.sine.positions import most_similar, sine_code

AttentionMask = Literal["frozen", "each_layer"]
_LARGEST_SCALE = 100.0
_AT_ONCE = 50  # masks at a time, to decide where tokens look


@dataclass(frozen=True)
class Target:
    """An image before it meets references: made once, whatever it is asked for.

    Attributes:
        grid: rows and columns of its tokens.
        tokens: (h * w, c) features.
        alone: (h * w, c), the same after they have looked at each other.
        code: (h * w, c), of their places.
        mask_features: (c, 4 h, 4 w).
    """

    grid: tuple[int, int]
    tokens: Tensor
    alone: Tensor
    code: Tensor
    mask_features: Tensor


@dataclass(frozen=True)
class Prediction:
    """What is predicted for each of q tokens.

    Attributes:
        logits: (q, 2): present, absent; or (q, k + 1): k classes, none of them.
        queries: (q, c), what the mask features are multiplied with.
        mask_features: (c, 4 h, 4 w) of the target.
    """

    logits: Tensor
    queries: Tensor
    mask_features: Tensor

    def masks(self, chosen: Tensor | slice) -> Tensor:
        """Logits of masks over the canvas, (n, 4 h, 4 w), of the chosen tokens."""
        return masks_of(self.queries[chosen], self.mask_features)


@dataclass(frozen=True)
class Queries:
    """Tokens as they enter the decoder.

    Attributes:
        tokens: (n, c).
        places: (n, c), codes of their places.
        masked: the first so many tokens look at the image and have a mask.
    """

    tokens: Tensor
    places: Tensor
    masked: int


class MFormer(nn.Module):
    """The trained decoder.

    Args:
        width: channels, c.
        hidden: units of a feed-forward part.
        between: channels between the two steps to the mask features.
        queries: number of learned instance tokens.
        layers: of the decoder.
    """

    def __init__(self, width: int, hidden: int, between: int, queries: int, layers: int) -> None:
        super().__init__()
        self.temp = nn.Parameter(torch.tensor(30.0))
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.fusion_layers = nn.ModuleList([FusionLayer(width, hidden)])
        self.transformer_layers = nn.ModuleList(DecoderLayer(width, hidden) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.mask_feat_layer = finer(width, between)
        self.query_feat = nn.Embedding(queries, width)
        self.query_embed = nn.Embedding(queries, width)
        self.query_grained_embed = nn.Embedding(3, width)  # identity, instances, classes
        self.id_class_embed = nn.Linear(width, 2)
        self.neg_class_embed = nn.Embedding(1, width)
        self.mask_embed = Perceptron(width)

    @property
    def _fusion(self) -> FusionLayer:
        return cast(FusionLayer, self.fusion_layers[0])

    def target(self, features: Tensor) -> Target:
        """An image, ready to be asked.

        Args:
            features: (c, h, w) from the neck.
        """
        grid = (features.shape[1], features.shape[2])
        tokens = features.flatten(1).T
        return Target(
            grid,
            tokens,
            self._fusion.alone(tokens),
            sine_code(grid, len(features)).to(features.device),
            self.mask_feat_layer(features[None])[0],
        )

    def fuse(self, references: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """References and image look at each other, each at what the other was before.

        All references take part, those of identities and those of classes, whatever the task.

        Args:
            references: (r, c).
            target: with h * w tokens.

        Returns:
            (r, c) and (h * w, c).
        """
        fusion = self._fusion
        fused = references + fusion(fusion.alone(references), target.tokens)
        return fused, target.tokens + fusion(target.alone, references)

    def identify(
        self, target: Target, identities: Tensor, mask: AttentionMask = "frozen"
    ) -> Prediction:
        """The same objects in the target.

        As released, each object is a class, too, which makes a difference in the fusion alone.

        Args:
            target: from `target`.
            identities: (m, c), one pooled vector for each object.
            mask: "frozen": where a token may look is decided before the first layer, as released;
                "each_layer": before every layer, as in Mask2Former.
        """
        fused, image = self.fuse(torch.cat([identities, identities]), target)
        queries = self.identity_queries(fused[: len(identities)], image, target)
        return self.present(self.decode(queries, image, target, mask), target)

    def classify(
        self,
        target: Target,
        identities: Tensor,
        classes: Tensor,
        mask: AttentionMask = "frozen",
    ) -> Prediction:
        """Instances of the classes in the target.

        Args:
            target: from `target`.
            identities: (m, c), one pooled vector for each object, m >= 0; they take part in the
                fusion.
            classes: (k, c), one pooled vector for each class.
            mask: as in `identify`.
        """
        fused, image = self.fuse(torch.cat([identities, classes]), target)
        queries = self.instance_queries(fused[len(identities) :])
        tokens = self.decode(queries, image, target, mask)
        return self.classified(tokens, queries.masked, target)

    def at_each_layer(
        self, target: Target, identities: Tensor, classes: Tensor, mask: AttentionMask
    ) -> Iterator[tuple[Prediction, Prediction]]:
        """Of the identities and the instances, before the first layer and after each, for losses.

        The arguments are those of `classify`.
        """
        fused, image = self.fuse(torch.cat([identities, classes]), target)
        same = self.identity_queries(fused[: len(identities)], image, target)
        found = self.instance_queries(fused[len(identities) :])
        levels = (self.levels(queries, image, target, mask) for queries in (same, found))
        for objects, instances in zip(*levels, strict=True):
            yield (
                self.present(self.decoder_norm(objects), target),
                self.classified(self.decoder_norm(instances), found.masked, target),
            )

    def present(self, tokens: Tensor, target: Target) -> Prediction:
        """The heads of identities: (m, c) normalised tokens -> present or absent, and masks."""
        return Prediction(
            self.id_class_embed(tokens), self.mask_embed(tokens), target.mask_features
        )

    def classified(self, tokens: Tensor, instances: int, target: Target) -> Prediction:
        """The heads of instances: normalised tokens, theirs first -> classes, and masks."""
        found, compared = (
            functional.normalize(part, dim=1) for part in (tokens[:instances], tokens[instances:])
        )
        scale = self.logit_scale.exp().clamp(max=_LARGEST_SCALE)
        return Prediction(
            scale * (found @ compared.T),
            self.mask_embed(tokens[:instances]),
            target.mask_features,
        )

    def identity_queries(self, fused: Tensor, image: Tensor, target: Target) -> Queries:
        """Identity tokens as they enter the decoder.

        Args:
            fused: (m, c) references.
            image: (h * w, c) fused tokens of the image.
            target: that image.
        """
        places = most_similar(fused, image, target.code, target.grid, self.temp)
        return Queries(fused + self.query_grained_embed.weight[0], places, len(fused))

    def instance_queries(self, fused: Tensor) -> Queries:
        """Instance tokens and those of k classes and the rest, from (k, c) fused references."""
        grain = self.query_grained_embed.weight
        classes = torch.cat([fused, self.neg_class_embed.weight]) + grain[2]
        tokens = torch.cat([self.query_feat.weight + grain[1], classes])
        places = torch.cat([self.query_embed.weight, torch.zeros_like(classes)])
        return Queries(tokens, places, len(tokens) - len(classes))

    def decode(
        self, queries: Queries, image: Tensor, target: Target, mask: AttentionMask
    ) -> Tensor:
        """All layers: (n, c), normalised for the heads; see `levels`."""
        tokens = queries.tokens
        for level in self.levels(queries, image, target, mask):
            tokens = level
        return self.decoder_norm(tokens)

    def levels(
        self, queries: Queries, image: Tensor, target: Target, mask: AttentionMask
    ) -> Iterator[Tensor]:
        """Tokens before the first layer and after each.

        Args:
            queries: n tokens.
            image: (h * w, c) fused tokens of the image.
            target: that image.
            mask: as in `identify`.

        Yields:
            (n, c).
        """
        tokens, keys = queries.tokens, image + target.code
        yield tokens
        blocked = self.blocked(tokens[: queries.masked], target)
        for number, layer in enumerate(self.transformer_layers):
            if number and mask == "each_layer":
                blocked = self.blocked(tokens[: queries.masked], target)
            tokens = layer(tokens, queries.places, keys, image, blocked)
            yield tokens

    @torch.no_grad()
    def blocked(self, tokens: Tensor, target: Target) -> Tensor:
        """Where tokens must not look: (n, h * w) bool, beside the mask that they have so far.

        A token with an empty mask may look everywhere.

        The features could be reduced to the grid of the tokens first, as all of it is linear, but
        then cells at the border of a mask turn over by rounding, and logits by 1e-3 with them.
        """
        queries = self.mask_embed(self.decoder_norm(tokens))
        parts = [
            functional.interpolate(
                masks_of(part, target.mask_features)[None],
                target.grid,
                mode="bilinear",
                align_corners=False,
            )[0]
            for part in torch.split(queries, _AT_ONCE)
        ]
        blocked = torch.cat(parts).flatten(1).sigmoid() < 0.5
        return blocked & ~blocked.all(dim=1, keepdim=True)


def masks_of(queries: Tensor, mask_features: Tensor) -> Tensor:
    """Logits of masks: (q, c) and (c, h, w) -> (q, h, w)."""
    return torch.einsum("qc,chw->qhw", queries, mask_features)
