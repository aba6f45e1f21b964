"""CLIP's tokenizer, which several networks read captions with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

from ipseg.errors import WeightsError
from ipseg.networks.pretrained import DAMAGED, unreadable


@dataclass(frozen=True)
class Captions:
    """From texts to tokens of one length.

    Attributes:
        tokenizer: of the network's folder.
        length: tokens of each text; longer ones are cut, shorter ones filled up.
    """

    tokenizer: Any
    length: int

    def __call__(self, texts: Sequence[str]) -> Any:  # noqa: ANN401  (of the library)
        """`input_ids` and `attention_mask`, (n, length) each."""
        return self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )


def load_captions(location: str, length: int, vocabulary: int) -> Captions:
    """The tokenizer beside the weights of a network.

    Args:
        location: folder of the network, or a file in it.
        length: see `Captions`.
        vocabulary: tokens that the network knows.

    Raises:
        WeightsError: it is missing, damaged, or of another network.
    """
    folder = Path(location) if Path(location).is_dir() else Path(location).parent
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except DAMAGED as error:
        raise unreadable(folder, error) from error
    # Without its files, the library makes a tokenizer of a few words.
    if len(tokenizer) != vocabulary:
        raise WeightsError(
            f"{folder} has {len(tokenizer)} words for a network of {vocabulary}: vocab.json or "
            f"merges.txt is missing or of another model; get it again with `ipseg weights fetch "
            f"PROFILE`"
        )
    return Captions(tokenizer, length)
