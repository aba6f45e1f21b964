"""Operations of networks that each method uses in its own way: their size, passes for a concept.

Images are of 640 x 480 where their aspect matters. An example is one for each concept.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import Any

import torch

from ipseg.detectors.grounding_dino import EncodedBefore, GroundingDino
from ipseg.features.patch_encoder import PatchEncoder
from ipseg.features.patch_tokens import PatchTokens
from ipseg.methods.foris.method import FoRIS
from ipseg.methods.groupvit.network import GroupVitNetwork
from ipseg.methods.insid3.method import INSID3
from ipseg.methods.matcher.video import MatcherVideo
from ipseg.methods.persense.method import PerSenseMethod
from ipseg.methods.sam3.network import Sam3Network
from ipseg.methods.seggpt.network import SegGptNetwork
from ipseg.methods.sine.network import SineNetwork
from ipseg.methods.sine.video import SineVideo
from ipseg.networks.models import Models
from ipseg.weights.architectures import SINE_FILE
from jobs.bench.counting import Counted, operations, published
from jobs.bench.meta import META, count

_ASPECT = 640 / 480
_WORDS = 4  # tokens of a caption of one word for GroundingDINO
_ON_CPU = Models(device="cpu", precision="float32")  # where autocast is known, and off


@singledispatch
def used(part: object, method: Any) -> Counted:  # noqa: ANN401
    """Counts a part of a method, for an image and for each concept in it.

    Raises:
        ConfigError: the size of its weights is not known.
    """
    return operations(part)


@used.register
def _(part: PatchEncoder, method: Any) -> Counted:  # noqa: ANN401
    """INSID3 and FoRIS compare and cluster its cells; all cells, which is the most they do."""
    network = published(part.weights)[""]
    patch = network.config.patch_size
    cells = part.size // patch
    pixels = torch.empty(1, 3, cells * patch, cells * patch, device=META)
    found = {"patch encoder": count(lambda: network(pixels))}
    if not isinstance(method, INSID3 | FoRIS):
        return Counted(found)
    # FoRIS clusters cells with positions and without, and the candidates of each concept.
    times = 2 if isinstance(method, FoRIS) else 1
    compared = times * _compared(cells**2, network.config.hidden_size)
    return Counted(found | {"clusters": compared}, concept={"similarity": compared})


@used.register
def _(part: PatchTokens, method: Any) -> Counted:  # noqa: ANN401
    """All cells of the image are compared with all of the example, which is the most."""
    network = published(part.weights)[""]
    if isinstance(method, MatcherVideo):
        height, width = method.wide.short, method.wide.long
    else:
        height = width = method.square.side
    found = count(lambda: network(torch.empty(1, 3, height, width)))
    patch = network.config.patch_size
    cells = (height // patch) * (width // patch)
    compared = _compared(cells, network.config.hidden_size)
    return Counted({"patch tokens": found}, concept={"similarity": compared})


@used.register
def _(part: SegGptNetwork, method: Any) -> Counted:  # noqa: ANN401
    """One pass of the whole network for each concept."""
    copy = replace(part)
    copy._network, copy._models = published(part.weights)[""], _ON_CPU
    project = copy._network.model.embeddings.patch_embeddings.projection
    patches: list[torch.Tensor] = []
    embedded = count(lambda: patches.extend(project(torch.empty(1, 3, copy.side, copy.side))))
    image = patches[0].permute(1, 2, 0)
    painted = count(lambda: copy.paint(image, image[None], image[None]))
    return Counted({"patches": embedded}, concept={"seggpt": painted})


@used.register
def _(part: GroupVitNetwork, method: Any) -> Counted:  # noqa: ANN401
    """All windows of an image; names are read once in a run."""
    copy = replace(part)
    copy._network, copy._models = published(part.weights)[""], _ON_CPU
    side = copy.short_side
    corners = list(copy._corners((side, round(side * _ASPECT))))
    window = count(lambda: copy._window(torch.empty(1, 3, side, side), 0, 0))
    length = copy._network.config.text_config.max_position_embeddings
    words = torch.ones(1, length, dtype=torch.long, device=META)
    name = count(lambda: copy._network.get_text_features(words, attention_mask=words))
    note = f"each name, once in a run: {name / 1e12:.4f}"
    return Counted({"groupvit": len(corners) * window}, notes=(note,))


@used.register
def _(part: Sam3Network, method: Any) -> Counted:  # noqa: ANN401
    """Examples lie on the canvas, so that each concept has a canvas of its own."""
    network = published(part.weights)[""].to(META)
    side = network.config.vision_config.image_size
    cells = network.config.vision_config.backbone_feature_sizes[-1]
    # The decoder makes ranges of these two numbers, which 'meta' does not have.
    network.detr_decoder.register_forward_pre_hook(
        lambda _, args, named: (
            args,
            {**named, "spatial_shapes": torch.tensor([cells], device="cpu")},
        ),
        with_kwargs=True,
    )
    length = network.config.text_config.max_position_embeddings
    words = torch.ones(1, length, dtype=torch.long, device=META)
    seen: list[Any] = []
    read: list[Any] = []
    canvas = count(lambda: seen.append(network.get_vision_features(torch.empty(1, 3, side, side))))
    name = count(lambda: read.append(network.get_text_features(words, attention_mask=words)))
    asked = count(
        lambda: network(
            vision_embeds=seen[0],
            text_embeds=read[0],
            attention_mask=words,
            input_boxes=torch.empty(1, 1, 4),
            input_boxes_labels=torch.ones(1, 1, dtype=torch.long),
        )
    )
    note = f"each caption, once in a run: {name / 1e12:.4f}"
    return Counted({}, concept={"canvas": canvas, "detector": asked}, notes=(note,))


@used.register
def _(part: SineNetwork, method: Any) -> Counted:  # noqa: ANN401
    """DINOv2, the neck and the M-Former on a whole canvas."""
    encoder, trained = published(part.encoder)[""], published(SINE_FILE)[""]
    side = method.canvas.side
    cells, width = side // encoder.config.patch_size, encoder.config.hidden_size
    former, neck = trained.transformer_decoder, trained.image_encoder.neck
    features: list[torch.Tensor] = []
    targets: list[Any] = []
    found = {
        "dinov2": count(lambda: encoder(torch.empty(1, 3, side, side))),
        "neck": count(lambda: features.extend(neck(torch.empty(1, width, cells, cells)))),
        "M-Former of the image": count(lambda: targets.append(former.target(features[0]))),
    }
    task = getattr(method, "task", "identity")

    def passed(concepts: int) -> int:
        pooled = torch.empty(concepts, len(features[0]), device=META)
        objects = pooled[: 0 if task == "instance" else concepts]
        if task == "identity":
            return count(lambda: former.identify(targets[0], pooled))
        return count(lambda: former.classify(targets[0], objects, pooled))

    each = passed(1)
    if method.asking.concepts == "together" or isinstance(method, SineVideo):
        found["M-Former, all concepts"], each = 2 * each - passed(2), passed(2) - each
    return Counted(found, concept={"M-Former": each})


@used.register
def _(part: GroundingDino, method: Any) -> Counted:  # noqa: ANN401
    """The backbone once, all that follows for each caption: PerSense asks for one and for many."""
    network = published(part.weights)[""].to(META)
    size = (1, 3, part.short_side, int(part.short_side * _ASPECT))
    network.model.backbone = EncodedBefore(network.model.backbone)
    pixels = torch.empty(size, device=META)
    mask = torch.ones(1, *size[2:], dtype=torch.long, device=META)
    words = torch.ones(1, _WORDS, dtype=torch.long, device=META)
    seen: list[Any] = []
    backbone = count(lambda: seen.append(network.model.backbone(pixels, mask)))
    network.model.backbone.given = seen[0]
    caption = count(
        lambda: network(pixels, words, token_type_ids=words, attention_mask=words, pixel_mask=mask)
    )
    captions = 2 if isinstance(method, PerSenseMethod) else 1
    return Counted({"grounding dino": backbone}, concept={"captions": captions * caption})


def _compared(cells: int, channels: int) -> int:
    """Of all cells of two images of (cells, channels) features."""
    features = torch.empty(cells, channels, device=META)
    return count(lambda: features @ features.T)
