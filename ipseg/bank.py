"""The prompt bank: what is remembered of each concept. Small, in Parquet, reusable."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ipseg.columns import DESCRIPTION, RLE, decode_description, encode_description
from ipseg.config import Config
from ipseg.errors import PromptError
from ipseg.features import Extractor
from ipseg.rows import Arrays, Row, is_failed
from ipseg.storage.files import read_bytes
from ipseg.vision.masks import encode_rle, read_soft_mask

FORMAT = "ipseg-prompt-bank/1"
_PROMPT = pa.struct(
    [
        ("key", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mask", RLE),
        ("mask_source", pa.string()),
        ("warning", pa.string()),
        ("thumbnail", pa.binary()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("description", DESCRIPTION),
        ("prompts", pa.list_(_PROMPT)),
    ]
)


@dataclass(frozen=True)
class Concept:
    """One thing to look for.

    Attributes:
        name: as the prompt folder calls it.
        category_id: from 1 in the order of names; 0 is background.
        description: extractor -> array name -> array, merged over the prompt images.
        prompts: key, sha256, size, mask and thumbnail of each prompt image.
    """

    name: str
    category_id: int
    description: dict[str, Arrays]
    prompts: tuple[dict[str, Any], ...] = field(repr=False)


@dataclass(frozen=True)
class PromptBank:
    """All concepts of a run, in order of their category ids.

    Attributes:
        concepts: at least one.
        settings_sha256: `prompt_settings` it was made with; others cannot use it.
    """

    concepts: tuple[Concept, ...]
    settings_sha256: str

    def arrays(self, extractor: str) -> list[Arrays]:
        """What one extractor remembers of each concept, in order."""
        return [concept.description[extractor] for concept in self.concepts]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the concepts, in order."""
        return tuple(concept.name for concept in self.concepts)

    @property
    def prompt_ids(self) -> list[str]:
        """What identifies the prompts in provenance: concept and picture hash of each."""
        return [f"{c.name}:{p['sha256'][:16]}" for c in self.concepts for p in c.prompts]

    @property
    def warnings(self) -> list[str]:
        """One line for each prompt that looks wrong."""
        return [
            f"prompt {p['key']} ({c.name}): {p['warning']}"
            for c in self.concepts
            for p in c.prompts
            if p["warning"]
        ]

    def to_parquet(self) -> bytes:
        """The bank as one Parquet file; equal banks give equal bytes."""
        table = pa.Table.from_pylist(
            [
                {
                    "concept": concept.name,
                    "category_id": concept.category_id,
                    "description": encode_description(concept.description),
                    "prompts": list(concept.prompts),
                }
                for concept in self.concepts
            ],
            _SCHEMA.with_metadata({"format": FORMAT, "settings_sha256": self.settings_sha256}),
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()

    @staticmethod
    def read(url: str) -> PromptBank:
        """Reads a bank written by `to_parquet`.

        Raises:
            PromptError: the file is missing, is no prompt bank, or is of another version.
        """
        try:
            table = pq.read_table(io.BytesIO(read_bytes(url)))
        except (OSError, pa.ArrowInvalid) as error:
            raise PromptError(f"cannot read prompt bank {url}: {error}") from error
        metadata = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        if metadata.get("format") != FORMAT:
            raise PromptError(
                f"{url} is not a prompt bank of format {FORMAT}; make one with --prompts DIR"
            )
        concepts = tuple(
            Concept(
                record["concept"],
                record["category_id"],
                decode_description(record["description"]),
                tuple(record["prompts"]),
            )
            for record in table.to_pylist()
        )
        return PromptBank(concepts, metadata["settings_sha256"])

    def check_settings(self, config: Config, url: str) -> None:
        """Refuses a bank that was made with other saliency or feature settings.

        Raises:
            PromptError: says what to do.
        """
        if self.settings_sha256 != prompt_settings(config):
            raise PromptError(
                f"prompt bank {url} was made with other saliency or feature settings than profile "
                f"'{config.profile}' has now; make it again with --prompts DIR"
            )


def prompt_settings(config: Config) -> str:
    """Hash of the settings that a bank depends on: images, saliency, features."""
    relevant = {name: config.resolved[name] for name in ("images", "saliency", "features")}
    return hashlib.sha256(repr(sorted(relevant.items())).encode()).hexdigest()


def build_bank(
    rows: Sequence[Row], extractors: Mapping[str, Extractor], config: Config
) -> PromptBank:
    """Merges described prompt rows into one entry for each concept.

    The rows may come in any order: they are sorted by key first.

    Raises:
        PromptError: a prompt image failed; names the file and the reason.
    """
    for row in rows:
        if is_failed(row):
            raise PromptError(f"prompt {row['uri']} cannot be used: {row['error_message']}")
    by_concept: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(row["key"])):
        by_concept.setdefault(row["concept"], []).append(row)
    concepts = tuple(
        Concept(
            name,
            category_id,
            {
                kind: extractor.merge([view["description"][kind] for view in views])
                for kind, extractor in extractors.items()
            },
            tuple(_record(view) for view in views),
        )
        for category_id, (name, views) in enumerate(sorted(by_concept.items()), start=1)
    )
    return PromptBank(concepts, prompt_settings(config))


def _record(row: Row) -> dict[str, Any]:
    return {
        "key": row["key"],
        "sha256": row["image_sha256"],
        "width": row["width"],
        "height": row["height"],
        "mask": encode_rle(read_soft_mask(row["prompt_mask"]) > 0.5),
        "mask_source": row["mask_source"],
        "warning": row.get("warning"),
        "thumbnail": row["thumbnail"],
    }
