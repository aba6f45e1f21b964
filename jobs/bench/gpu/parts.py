"""What is measured, in the order of what it is worth, and for how long each takes on an H100."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ipseg.config import load_config, profiles
from jobs.bench.gpu.card import Card
from jobs.bench.gpu.figures import IMAGE, why_not_measured

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
        short: seconds that it may take with tiny networks on two CPU cores.
        keeps: whether it uses networks that the part before it has left loaded.
    """

    name: str
    about: str
    seconds: float
    run: Callable[[Card], Any]
    short: float = 3.0
    keeps: bool = False

    def estimate(self, *, short: bool) -> float:
        """Seconds in one of the two forms."""
        return self.short if short else self.seconds


# Seconds for each network alone, those of profile `ipseg` first.
_OF_IPSEG = {"sam-vit-h": 18, "stable-diffusion": 13, "dinov2-base": 7}
_ENCODERS = {
    **{"dinov2-large": 8, "dinov3-large": 8, "sam-vit-b": 5, "sam-vit-h-sdpa": 11},
    **{"sam2.1-hiera-large": 7, "seggpt": 6, "sam3": 11, "grounding-dino": 11},
    **{"dinov2-small": 4, "sam2.1-hiera-tiny": 5, "groupvit": 4, "cornet": 4},
    **{"countr": 4, "dsalvanet": 4},
}
_MOST = 32  # largest batch of those of `ipseg`, which has to reach the goals
_MOST_OF_OTHERS = 8
_COMPILED = {"sam-vit-h": 18, "stable-diffusion": 32}

# Seconds for each profile. One that uses networks of the one before it does not load them again;
# those that are the least certain come last.
_PROFILES = {
    **{"persam": 9, "persam-f": 12, "grounded-sam": 7, "persense": 9, "persense-released": 9},
    **{"sine": 9, "sine-instances": 5, "sine-objects": 6, "insid3": 8, "foris": 9},
    **{"no-time-to-train": 10, "seggpt": 5, "sam3": 9, "groupvit": 3, "ipseg-light": 5},
    **{"ipseg-light-sam2": 4, "ipseg-modern": 7, "dinov2": 3, "ipseg-paper": 12},
    **{"ipseg-released": 14, "gf-sam": 13, "matcher-fss": 14, "matcher-part": 14, "matcher": 26},
}
_OTHER = 10.0  # of a profile that is not among them
# Of the short form, where it is not 4: what stays on the CPU takes as long with tiny networks.
_SHORT = {
    **{"ipseg": 10, "persam-f": 15, "persense-released": 25, "foris": 8, "no-time-to-train": 14},
    **{"ipseg-paper": 6, "ipseg-released": 6, "gf-sam": 14, "matcher-fss": 50},
    **{"matcher-part": 40, "matcher": 65},
}
_BATCHES = (1, 4)  # 4 is what a run has by default
_BATCHES_OF_IPSEG = (1, 2, 4, 8, 16)


def all_parts() -> list[Part]:
    """Every part, the most telling ones first."""
    return [
        Part(CARD, "large products in each precision, moving memory", 6, _card, 1),
        *_encoder_parts(_OF_IPSEG, _MOST),
        _profile_part("ipseg", 40, _BATCHES_OF_IPSEG),
        Part("masks ipseg", "IoU and points against float32", 40, _masks, 12, keeps=True),
        Part(RELEASED, "the networks of the released IPSeg, as it runs them", 24, _released, 4),
        *(
            Part(f"variants {name}", "layout, attention, graph, 16-bit weights", 8, run, 3)
            for name in _OF_IPSEG
            for run in [partial(_variants, name)]
        ),
        Part("transfer", "pinned, overlapped, decoding beside", 8, _transfer, 2),
        Part("decoder", "prompts a second of SAM's mask decoder", 6, _decoder, 2),
        *_encoder_parts(_ENCODERS, _MOST_OF_OTHERS),
        Part("two actors", "two workers on the card, against a larger batch", 22, _actors, 2),
        *(
            Part(f"compiled {name}", "torch.compile of repeated blocks", seconds, run, 6)
            for name, seconds in _COMPILED.items()
            for run in [partial(_compiled, name)]
        ),
        *(
            _profile_part(name, _PROFILES.get(name, _OTHER), _BATCHES)
            for name in (*_PROFILES, *(each for each in profiles() if each not in _PROFILES))
            if name != "ipseg" and _has_images(name)
        ),
    ]


def _has_images(profile: str) -> bool:
    try:
        config = load_config(profile)
    except ImportError:
        return True  # which package is missing is said when its turn comes
    return why_not_measured(config) is None


def _profile_part(name: str, seconds: float, batches: Sequence[int]) -> Part:
    run = partial(_image, name, batches)
    about, short = "images a second, step by step", _SHORT.get(name, 4)
    return Part(f"{IMAGE}{name}", about, seconds, run, short, keeps=True)


def _encoder_parts(seconds: Mapping[str, float], most: int) -> Iterator[Part]:
    about = "every batch and precision, share of the peak"
    for name, each in seconds.items():
        yield Part(f"{ENCODER}{name}", about, each, partial(_sweep, name, most), 3)


# Imported when they run: `ipseg bench --gpu --plan` needs none of it, and what a part needs that is
# not installed is the part's own reason to be skipped.


def _card(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.card import measure_card

    return measure_card(card)


def _sweep(name: str, most: int, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS
    from jobs.bench.gpu.sweep import sweep

    return sweep(card, ENCODERS[name], 2 if card.tiny else most)


def _variants(name: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS
    from jobs.bench.gpu.variants import compare_variants

    return compare_variants(card, ENCODERS[name])


def _compiled(name: str, card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.encoders import ENCODERS
    from jobs.bench.gpu.variants import compile_encoder

    return compile_encoder(card, ENCODERS[name])


def _image(profile: str, batches: Sequence[int], card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.whole import measure_profile

    return measure_profile(card, profile, batches[:1] if card.tiny else batches)


def _masks(card: Card) -> Any:  # noqa: ANN401
    from jobs.bench.gpu.whole import compare_masks

    return compare_masks(card, "ipseg")


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
