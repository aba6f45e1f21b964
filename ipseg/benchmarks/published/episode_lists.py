"""Episode lists by their hash: whether a drawn list is the one of the published numbers."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence

from ipseg.benchmarks.episode import Episode

# (benchmark, fold, shot) -> sha256 of the `episode_csv` that the reference loaders draw with seed 0
# from the official split files.
EPISODE_SHA256: dict[tuple[str, str, int], str] = {
    ("coco-20i", "0", 1): "d64e76674d39daf95550f01823f58a7f2996a66e87d22b6e9753bec67280a5de",
    ("coco-20i", "0", 5): "48bacd959b741fbe91f327aae0d01103f54a80b51c5c622de78c22c568a310c4",
    ("coco-20i", "1", 1): "bbda93b37fe98318e4f97287eff8e52ad3841f305538b915200bba2c8f83749a",
    ("coco-20i", "1", 5): "69afb4f68129c164ce6ac894791c79d6687b04f6d4bd6004d0d7204947e04576",
    ("coco-20i", "2", 1): "cd8c17637e5eafaa448b412614e35c2ec1f2ade95ffb16abb09c2d58cd9364aa",
    ("coco-20i", "2", 5): "f468ecc605ef0ff41509ff9564cece8c89efaf6950924a007049cdd5dd0fd7d4",
    ("coco-20i", "3", 1): "fd9882bb0af6a05c91a111c56dbc9e919a2cc824bf93da2867d673f123877c95",
    ("coco-20i", "3", 5): "f3ea7ac50c88ad86d9322d01ab75d9de64d350ba741dd704972e915d269a8bb7",
    ("fss-1000", "test", 1): "6fd7c5d5c3190ff0286daea3c4163ad02174e8204dddbae4b01eac339563ced0",
    ("fss-1000", "test", 5): "6ce57b85958281fb2fc3174baac8e9aad6b6fdfc00c0ac7d359f28f79490119e",
}


def episode_csv(episodes: Sequence[Episode]) -> bytes:
    r"""A list in the form that is hashed: `class_id,query,support_1,...`, images by key.

    No header, one episode per line, lines end with `\n`, quotes only where needed.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for episode in episodes:
        supports = (support.key for support in episode.supports)
        writer.writerow((episode.class_id, episode.query.key, *supports))
    return text.getvalue().encode()


def is_published(benchmark: str, fold: str, episodes: Sequence[Episode]) -> bool | None:
    """Whether a list is the one the published numbers were measured on.

    Returns:
        None if no hash is known for this benchmark, fold and shot.
    """
    shot = episodes[0].shot if episodes else 0
    known = EPISODE_SHA256.get((benchmark, fold, shot))
    return None if known is None else hashlib.sha256(episode_csv(episodes)).hexdigest() == known
