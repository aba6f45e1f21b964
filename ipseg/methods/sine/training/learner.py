"""The network in training: gradients of a batch of pairs, a step of the optimiser, what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ipseg.errors import ConfigError
from ipseg.methods.sine.architecture import ENCODER, Sine, own_encoder, recognise, trained
from ipseg.methods.sine.encoder import cells_of, encoder_of, load_encoder
from ipseg.methods.sine.layers import DecoderLayer, FusionLayer
from ipseg.methods.sine.pooling import pool
from ipseg.methods.sine.training.losses import Counts, Parts, Wanted, pair_losses
from ipseg.methods.sine.training.pairs import Pair
from ipseg.methods.sine.training.scenes import View
from ipseg.methods.sine.training.settings import Optimisation, Training
from ipseg.methods.sine.training.team import Team
from ipseg.networks.checkpoint import load_strict, read_state_dict
from ipseg.networks.pretrained import Network

PARTS = ("classes", "presence", "bce", "dice")
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Learner:
    """SINE on its way; the encoder stays as it is.

    Attributes:
        network: what is trained.
        device: where it is.
        own_encoder: DINOv2's tensors by their names in a released file, on the CPU, if the weights
            to start from have it in them; else empty.

    Raises:
        WeightsError: the encoder, or the weights to start from, are missing or damaged.
        ConfigError: the canvas is not of whole patches.
    """

    def __init__(self, settings: Training) -> None:
        self._settings = settings
        self.device = settings.models.torch_device()
        encoder, network, self.own_encoder = networks(settings)
        self._encoder = encoder.float().to(self.device)
        self.network = network.float().train().to(self.device)
        self._optimiser = torch.optim.AdamW(
            _groups(network, settings.optimisation.decay),
            lr=settings.optimisation.rate,
            betas=_BETAS,
            eps=_EPSILON,
        )

    def accumulate(self, pairs: Sequence[Pair], team: Team) -> Tensor:
        """Adds the gradients of this worker's pairs of one batch.

        Args:
            pairs: of this worker.
            team: all of its workers call this, with their pairs of the same batch.

        Returns:
            (4,) losses of this worker's part, by `PARTS`, so that their mean over the workers is
            that of the batch.

        Raises:
            FloatingPointError: a prediction is not of finite numbers.
        """
        total = torch.zeros(len(PARTS), device=self.device)
        for parts in self._each(pairs, team):
            (parts.total / self._settings.optimisation.accumulate).backward()  # type: ignore[no-untyped-call]
            total += torch.stack([getattr(parts, name).detach() for name in PARTS])
        return total

    @torch.no_grad()
    def check(self, pairs: Sequence[Pair]) -> None:
        """Refuses weights that a training cannot go on with.

        Args:
            pairs: to try them on; one worker may call this by itself.

        Raises:
            FloatingPointError: a loss is no finite number with them.
        """
        if not all(parts.total.isfinite() for parts in self._each(pairs, Team())):
            raise FloatingPointError("a loss that is no finite number")

    def _each(self, pairs: Sequence[Pair], team: Team) -> Iterator[Parts]:
        """The losses of this worker's pairs of a batch, one by one."""
        settings = self._settings
        wanted = [Wanted.of(pair, settings.losses, self.device) for pair in pairs]
        counts = _mean_counts(
            Counts.of(wanted, settings.decoder.queries, settings.losses), team, self.device
        )
        cells = self._cells([view for pair in pairs for view in (pair.reference, pair.target)])
        for number, (pair, each) in enumerate(zip(pairs, wanted, strict=True)):
            yield self._losses(pair, each, counts, cells[2 * number : 2 * number + 2])

    def update(self, step: int, team: Team) -> tuple[float, float]:
        """Moves the weights by the gradients of all workers, and clears them.

        Args:
            step: from 0.
            team: all of its workers call this.

        Returns:
            The rate, and the length of the gradient before it is clipped.
        """
        settings = self._settings.optimisation
        rate = settings.rate * rate_factor(step, settings)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        weights = list(self.network.parameters())
        for each in weights:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
        gradient = torch.cat([each.grad.flatten() for each in weights if each.grad is not None])
        team.mean(gradient)
        if settings.loss_scale == "twice":
            gradient /= settings.accumulate
        start = 0
        for each in weights:
            each.grad = gradient[start : start + each.numel()].view_as(each)
            start += each.numel()
        length = nn.utils.clip_grad_norm_(weights, settings.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return rate, float(length)

    def state(self) -> dict[str, Any]:
        """What a training goes on with: tensors and numbers alone."""
        return {"network": self.weights(), "optimiser": self._optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with what `state` returned."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])

    def weights(self) -> dict[str, Tensor]:
        """The trained tensors by their released names, on the CPU."""
        return {name: each.cpu().clone() for name, each in self.network.state_dict().items()}

    @torch.no_grad()
    def _cells(self, views: Sequence[View]) -> Tensor:
        pixels = torch.stack([view.pixels for view in views]).to(self.device)
        with self._settings.models.autocast():
            return cells_of(self._encoder, pixels)

    def _losses(self, pair: Pair, wanted: Wanted, counts: Counts, cells: Tensor) -> Parts:
        """Of a pair, from (2, e, h, w) features of reference and target."""
        settings = self._settings
        features = self.network.image_encoder.neck(cells)
        reference = pair.reference
        unions = [
            reference.masks[reference.classes == number].any(dim=0) for number in reference.present
        ]
        masks = torch.cat([reference.masks, torch.stack(unions)]).to(self.device)
        tokens = pool(features[0], masks).each
        mformer = self.network.transformer_decoder
        objects = len(reference.masks)
        levels = mformer.at_each_layer(
            mformer.target(features[1]),
            tokens[:objects],
            tokens[objects:],
            settings.decoder.attention_mask,
        )
        seeds = np.random.SeedSequence([settings.optimisation.seed, pair.number])
        random = torch.Generator(self.device).manual_seed(int(seeds.generate_state(1)[0]))
        return pair_losses(levels, wanted, counts, settings.losses, random)


def rate_factor(step: int, settings: Optimisation) -> float:
    """The share of the highest rate in a step from 0: from 0 in a line up, then down to 0."""
    if step < settings.warm_up:
        return step / settings.warm_up
    return (settings.steps - step) / max(1, settings.steps - settings.warm_up)


def _mean_counts(counts: Counts, team: Team, device: torch.device) -> Counts:
    values = torch.tensor([counts.presence, counts.masks], device=device)
    presence, masks = team.mean(values).tolist()
    return Counts(counts.pairs, presence, masks)


def networks(settings: Training) -> tuple[Network, Sine, dict[str, Tensor]]:
    """The encoder, what is trained, and the encoder's tensors where `start` has it in it.

    All on the CPU; errors are those of `Learner`.
    """
    models, start, side = settings.models, settings.start, settings.pairs.side
    path = "" if start is None else models.locate(start)
    state = {} if start is None else read_state_dict(path)
    inside = own_encoder(state)
    encoder = encoder_of(inside, path) if inside else load_encoder(models.locate(settings.encoder))
    width, patch = int(encoder.config.hidden_size), int(encoder.config.patch_size)
    if side % patch:
        near = max(1, round(side / patch)) * patch
        raise ConfigError(
            f"pairs.side is {side}, not a multiple of the encoder's patch of {patch} pixels: set "
            f"pairs.side={near}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.optimisation.seed)
        network = settings.decoder.sizes(width).build()
        _initialise(network)
    if start is not None:
        recognise(state, settings.decoder.layers, width, path)
        load_strict(network, trained(state), path)
    return encoder, network, {f"{ENCODER}{name}": tensor for name, tensor in inside.items()}


def _initialise(network: Sine) -> None:
    """Xavier's uniform numbers for the matrices of attention and feed-forward parts."""
    for part in network.modules():
        if isinstance(part, FusionLayer | DecoderLayer):
            for weights in part.parameters():
                if weights.dim() > 1:
                    nn.init.xavier_uniform_(weights)


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """LayerNorms and embeddings do not decay; the norms over channels do, as released."""
    kept: list[nn.Parameter] = []
    decaying: list[nn.Parameter] = []
    for part in network.modules():
        chosen = kept if isinstance(part, nn.LayerNorm | nn.Embedding) else decaying
        chosen.extend(part.parameters(recurse=False))
    return [{"params": decaying, "weight_decay": decay}, {"params": kept, "weight_decay": 0.0}]
