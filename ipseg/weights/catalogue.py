"""Facts about the weights in profiles: licence, size, where they are published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ipseg.networks.models import is_hub_id

Layout = Literal["transformers", "grounding", "captioned", "diffusers", "birefnet", "file"]

# Required files of a hub folder; others are not needed. Older .bin files replace missing
# .safetensors files.
FILES: dict[Layout, tuple[str, ...]] = {
    "transformers": ("config.json", "preprocessor_config.json", "model.safetensors"),
    "grounding": (
        *("config.json", "preprocessor_config.json", "model.safetensors"),
        *("vocab.txt", "tokenizer_config.json"),
    ),
    "captioned": (
        *("config.json", "preprocessor_config.json", "model.safetensors"),
        *("vocab.json", "merges.txt", "tokenizer_config.json"),
    ),
    "diffusers": (
        *("unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
        *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
        *("text_encoder/config.json", "text_encoder/model.safetensors"),
        *("tokenizer/merges.txt", "tokenizer/vocab.json"),
        *("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json"),
        "scheduler/scheduler_config.json",
    ),
    "birefnet": ("config.json", "BiRefNet_config.py", "birefnet.py", "model.safetensors"),
    "file": (),
}
OPTIONAL = ("preprocessor_config.json", "tokenizer/special_tokens_map.json")

_SAM = "https://github.com/facebookresearch/segment-anything#model-checkpoints"
_ODISE = "https://github.com/NVlabs/ODISE/releases/tag/v1.0.0"
_DSALVANET = "https://github.com/kadvinj/DSALVANet"
_TORCHVISION = "https://docs.pytorch.org/vision/stable/models.html"
_COUNTR = "https://github.com/Verg-Avesta/CounTR"
# Settings of components with the name of weights.
_SETTINGS = ("weights", "odise", "encoder")


@dataclass(frozen=True)
class Source:
    """The source of one set of weights.

    Attributes:
        licence: of the weights, short.
        commercial: whether that licence allows commercial use; None if unknown.
        megabytes: approximate size of the download; None if unknown.
        layout: of the files.
        page: of the publisher, for a file; else it is the page on the hub.
        sha256: of a file, as published: all 64 digits or the first ones; "" if unknown.
        revision: branch, tag or commit on the hub.
    """

    licence: str
    commercial: bool | None
    megabytes: int | None
    layout: Layout = "transformers"
    page: str = ""
    sha256: str = ""
    revision: str = "main"


def _sam(megabytes: int, sha256: str) -> Source:
    return Source("Apache-2.0", True, megabytes, "file", _SAM, sha256)


def _dinov3(megabytes: int) -> Source:
    return Source("DINOv3 License (to be accepted)", True, megabytes)


# Licences as stated by the publishers. Checksums of the SAM files are those of the published files;
# ODISE has the first digits of the checksum in the name of its file.
CATALOGUE: dict[str, Source] = {
    "cornet_rgb_duts_tr.pth": Source(
        "MIT (its repository's)", True, 114, "file", "https://github.com/moothes/A2S-v2"
    ),
    "checkpoint_200.pth": Source(
        "none given: all rights reserved", False, None, "file", _DSALVANET
    ),
    "FSC147.pth": Source("MIT (its repository's)", True, None, "file", _COUNTR),
    "resnet50-0676ba61.pth": Source("BSD-3-Clause", True, 98, "file", _TORCHVISION, "0676ba61"),
    "IDEA-Research/grounding-dino-tiny": Source("Apache-2.0", True, 690, "grounding"),
    "facebook/dinov2-small": Source("Apache-2.0", True, 88),
    "facebook/dinov2-base": Source("Apache-2.0", True, 346),
    "facebook/dinov2-large": Source("Apache-2.0", True, 1217),
    "facebook/dinov2-with-registers-base": Source("Apache-2.0", True, 346),
    "facebook/dinov3-vits16-pretrain-lvd1689m": _dinov3(86),
    "facebook/dinov3-vitb16-pretrain-lvd1689m": _dinov3(343),
    "facebook/dinov3-vitl16-pretrain-lvd1689m": _dinov3(1213),
    "openai/clip-vit-base-patch16": Source("MIT", True, 599),
    "openai/clip-vit-large-patch14-336": Source("MIT", True, 1712),
    "facebook/vit-mae-base": Source("CC BY-NC 4.0 as released", False, 448),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": Source(
        "CreativeML OpenRAIL-M (restricts uses)", True, 4266, "diffusers"
    ),
    "odise_label_coco_50e-b67d2efc.pth": Source(
        "NVIDIA source code licence", False, None, "file", _ODISE, "b67d2efc"
    ),
    "sine_vitl14.pth": Source(
        "BSD-2-Clause (its repository's, whose README says: for academic use)",
        None,
        None,
        "file",
        "https://github.com/aim-uofa/SINE",
    ),
    "sam_vit_h_4b8939.pth": _sam(
        2565, "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
    ),
    "sam_vit_l_0b3195.pth": _sam(
        1250, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
    ),
    "sam_vit_b_01ec64.pth": _sam(
        375, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    ),
    "facebook/sam-vit-base": Source("Apache-2.0", True, 375),
    "facebook/sam-vit-large": Source("Apache-2.0", True, 1250),
    "facebook/sam-vit-huge": Source("Apache-2.0", True, 2565),
    "syscv-community/sam-hq-vit-base": Source("Apache-2.0", True, 380),
    "facebook/sam2.1-hiera-tiny": Source("Apache-2.0", True, 156),
    "facebook/sam2.1-hiera-small": Source("Apache-2.0", True, 184),
    "facebook/sam2.1-hiera-large": Source("Apache-2.0", True, 898),
    "ZhengPeng7/BiRefNet": Source("MIT", True, 445, "birefnet"),
    "facebook/sam2-hiera-large": Source("Apache-2.0", True, 898),
    "BAAI/seggpt-vit-large": Source("Apache-2.0", True, 1482),
    "facebook/sam3": Source(
        "SAM License (to be accepted; no military use)", None, 3440, "captioned"
    ),
    "nvidia/groupvit-gcc-yfcc": Source(
        "NVIDIA source code licence (non-commercial)", False, 223, "captioned"
    ),
}


@dataclass(frozen=True)
class Need:
    """One set of weights that a profile names.

    Attributes:
        parts: components that need it, as paths of settings: 'support.saliency', 'features.dinov2'.
        name: a hub id, a path, or the name of a file, as in the profile.
        source: facts about it.
    """

    parts: tuple[str, ...]
    name: str
    source: Source


def needs(settings: Mapping[str, Any]) -> list[Need]:
    """The weights in settings, without repeats.

    Args:
        settings: `Config.resolved`, or a part of it. Features with weight 0 need none, nor does the
            saliency of supports by masks, boxes or points.
    """
    found: dict[str, Need] = {}
    for part, values in _parts(settings):
        settings_of = (*_SETTINGS, "odise_clip") if values.get("odise") else _SETTINGS
        for name in filter(None, map(values.get, settings_of)):
            before = found[name].parts if name in found else ()
            source = CATALOGUE.get(name) or _unlisted(part, name)
            if "revision" in values:
                source = replace(source, revision=values["revision"])
            found[name] = Need((*before, part), name, source)
    return list(found.values())


def _parts(settings: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, settings) of each section with weights, at any depth."""
    for name, value in settings.items():
        if not isinstance(value, dict) or value.get("weight") == 0:
            continue
        path = f"{where}.{name}" if where else name
        if path.endswith("support.saliency") and settings.get("kind") != "saliency":
            continue
        if any(setting in value for setting in _SETTINGS):
            yield path, value
        yield from _parts(value, path)


def _unlisted(part: str, name: str) -> Source:
    if not is_hub_id(name):
        return Source("not known", None, None, "file")
    return Source("see its page", None, None, folder_layout([part]))


def folder_layout(parts: Iterable[str]) -> Layout:
    """The layout of a folder of weights, from the paths of the components that need it.

    An extractor is a setting of the method and of the steps that use it.
    """
    kinds = {part.rpartition(".")[2] for part in parts}
    if "stable_diffusion" in kinds:
        return "diffusers"
    if kinds & {"sam3", "groupvit"}:
        return "captioned"
    return "grounding" if "detector" in kinds else "transformers"
