"""What is measured, in the order of what it is worth, and for how long each takes on an H100."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ipseg.config import load_config, profiles
from ipseg.weights.catalogue import needs
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.figures import IMAGE

CARD, RELEASED = "card", "released code"
ENCODER, MASKS = "encoder ", "masks "
"""Before the name of an encoder or a profile."""


@dataclass(frozen=True)
class Part:
    """One measurement, written when it is done.

    Attributes:
        name: in the file.
        about: what it says, in a few words.
        seconds: that it may take; estimated for an H100, not measured.
        run: measures; gives plain data.
    """

    name: str
    about: str
    seconds: float
    run: Callable[[Card], Any]


# Seconds that a profile is estimated to take, where it is not `_OTHER`.
_PROFILES = {"ipseg": 60, "ipseg-light": 20, "sine": 30, "persam": 25}
_OTHER = 45.0
_ENCODERS = {
    **{"sam-vit-h": 20, "stable-diffusion": 20, "dinov2-base": 12},
    **{"dinov2-large": 12, "dinov2-giant": 14, "sam-vit-l": 12, "sam-vit-b": 8},
    **{"sam-vit-h-sdpa": 14, "dinov2-small": 6, "sam2.1-hiera-tiny": 8, "cornet": 5},
}
_OF_IPSEG = ("sam-vit-h", "stable-diffusion", "dinov2-base")


def all_parts() -> list[Part]:
    """Every part, the most telling ones first."""
    first, later = list(_profile_parts(["ipseg"])), list(_profile_parts(_other_profiles()))
    usual = [part for part in later if part.name.removeprefix(IMAGE) in _PROFILES]
    return [
        Part(CARD, "large products in each precision, moving memory", 10, _card),
        *_encoder_parts(_OF_IPSEG),
        *first,
        Part(RELEASED, "the networks of the released IPSeg, as it runs them", 35, _released),
        Part("masks ipseg", "IoU and points against float32", 90, partial(_masks, "ipseg")),
        *(
            Part(
                *(f"variants {name}", "layout, attention kernels, CUDA graph, 16-bit weights"),
                *(12, partial(_variants, name)),
            )
            for name in _OF_IPSEG
        ),
        Part("transfer", "pinned, overlapped, decoding beside", 15, _transfer),
        *_encoder_parts([name for name in _ENCODERS if name not in _OF_IPSEG]),
        Part("decoder", "prompts a second of SAM's mask decoder", 8, _decoder),
        *usual,
        Part("two actors", "two workers on the card, against a larger batch", 40, _actors),
        *(
            Part(f"compiled {name}", "torch.compile", seconds, partial(_compiled, name))
            for name, seconds in (("dinov2-base", 40), ("sam-vit-h", 60), ("stable-diffusion", 90))
        ),
        *(part for part in later if part not in usual),
    ]


def _other_profiles() -> list[str]:
    """Profiles with networks that take images, the best known first."""
    names = [*_PROFILES, *(name for name in profiles() if name not in _PROFILES)]
    return [name for name in names if name != "ipseg" and _has_networks(name)]


def _has_networks(profile: str) -> bool:
    try:
        config = load_config(profile)
    except ImportError:
        return True  # which package is missing is said when its turn comes
    return config.method.row_is == "image" and any(needs(config.resolved))


def _profile_parts(names: list[str]) -> Iterator[Part]:
    for name in names:
        seconds = _PROFILES.get(name, _OTHER)
        about = "images a second, step by step"
        yield Part(f"{IMAGE}{name}", about, seconds, partial(_image, name))


def _encoder_parts(names: list[str] | tuple[str, ...]) -> Iterator[Part]:
    for name in names:
        about = "every batch and precision, share of the card's peak"
        yield Part(f"{ENCODER}{name}", about, _ENCODERS[name], partial(_sweep, name))


# Imported when they run: `ipseg bench --gpu --plan` needs none of it, and what a part needs that is
# not installed is the part's own reason to be skipped.


def _card(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.card import measure_card

    return measure_card(card)


def _sweep(name: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS, sweep

    return sweep(card, ENCODERS[name])


def _variants(name: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS
    from jobs.bench.gpu.variants import compare_variants

    return compare_variants(card, ENCODERS[name])


def _compiled(name: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS
    from jobs.bench.gpu.variants import compile_encoder

    return compile_encoder(card, ENCODERS[name])


def _image(profile: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.whole import measure_profile

    return measure_profile(card, profile)


def _masks(profile: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.whole import compare_masks

    return compare_masks(card, profile)


def _released(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.released import measure_released

    return measure_released(card)


def _transfer(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.transfer import measure_transfer

    return measure_transfer(card)


def _decoder(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.decoder import measure_decoder

    return measure_decoder(card)


def _actors(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.actors import compare_actors

    return compare_actors(card, "dinov2-base")
