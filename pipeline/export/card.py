"""The card of an export, README.md: what it is, how it was made, what to know before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ipseg.storage.files import write_whole
from ipseg.weights.catalogue import needs
from ipseg.weights.finding import random_sentence
from ipseg.wording import counted
from pipeline.export.folder import CARD
from pipeline.export.markup import markdown
from pipeline.export.request import Request
from pipeline.export.tally import BINS, Tally, losses
from pipeline.export.writer import About
from pipeline.runfolder.manifest import Manifest

_SETTINGS = ("models", "runtime")  # say nothing about results
_BAR = 40  # characters


def write_card(about: About, request: Request, manifest: Manifest, tally: Tally) -> None:
    """Writes TO/README.md."""
    text = "\n".join(_card(about, request, manifest, tally))
    write_whole(f"{about.to}/{CARD}", (text.rstrip() + "\n").encode())


def _card(about: About, request: Request, manifest: Manifest, tally: Tally) -> Iterator[str]:
    sides, writer = list(tally.sides), request.writer
    if (front := writer.front_matter(about, sides)) is not None:
        yield f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n"
    concepts = ", ".join(markdown(name) for name in about.categories)
    yield f"# Masks of {concepts}\n"
    yield (
        f"{counted(tally.images, 'image')} with {counted(tally.objects, 'object')}, labelled by "
        f"ipseg with method and profile {markdown(about.model)}: "
        "pseudo labels, found by image prompts. Nobody has checked them except where it is said "
        "below.\n"
    )
    if random := random_sentence(manifest.about.get("random_weights", ())):
        yield f"**{random}**\n"
    yield f"## Load it\n\n{writer.how_to_load(about, sides)}\n"
    yield from _counts(about, tally)
    yield from _quality(about, request, manifest, tally)
    yield from _licences(manifest)
    yield from _how(request, manifest)


def _counts(about: About, tally: Tally) -> Iterator[str]:
    yield "## What is in it\n"
    heads = [f"{name}: images | objects" for name in tally.sides]
    yield "| concept | id | " + " | ".join(heads) + " |"
    yield "|---|---|" + "---|---|" * len(heads)
    for concept, number in about.categories.items():
        cells = [
            f"{side.with_concept[concept]:,} | {side.objects[concept]:,}"
            for side in tally.sides.values()
        ]
        yield f"| {markdown(concept)} | {number} | " + " | ".join(cells) + " |"
    cells = [f"{side.images:,} | {side.objects.total():,}" for side in tally.sides.values()]
    yield "| all | | " + " | ".join(cells) + " |"
    cells = [f"{side.empty:,} | 0" for side in tally.sides.values()]
    yield "| without an object | | " + " | ".join(cells) + " |\n"
    lines = [f"{line}." for line in tally.warnings(list(about.categories))]
    if tally.failed:
        lines.append(f"{counted(tally.failed, 'row')} of the run failed, not in it.")
    if tally.left_out:
        said = counted(tally.left_out, "image")
        lines.append(f"{said} could not be exported; export.json names some.")
    lines += [f"Lost: {line}." for line in losses(about.lost)]
    if tally.vanished:
        said = counted(tally.vanished, "object")
        lines.append(f"{said} left out, because surer ones took the pixels.")
    if tally.encoded_again:
        lines.append(f"{counted(tally.encoded_again, 'image')} turned, cropped or converted.")
    yield from (f"* {markdown(line)}" for line in lines)
    yield ""


def _quality(about: About, request: Request, manifest: Manifest, tally: Tally) -> Iterator[str]:
    yield "## How good it is\n"
    share = tally.reviewed / tally.images if tally.images else 0.0
    status = ", ".join(f"{number:,} {name}" for name, number in sorted(tally.statuses.items()))
    yield (
        f"A person has looked at {tally.reviewed:,} of {tally.images:,} images ({share:.1%}). "
        f"Objects: {status or 'none'}. Scores: {about.score_kind}.\n"
    )
    selection = request.selection
    chosen = [f"least score {selection.min_score:g}", f"least area {selection.min_area} pixels"]
    if selection.reviewed is not None:
        chosen.append(f"reviewed: {selection.reviewed}")
    if selection.exclusive:
        chosen.append("objects share no pixel")
    yield f"Chosen by: {', '.join(chosen)}."
    absent = set(selection.absent)
    for name, least in sorted(selection.thresholds.items()):
        word = "said to be absent" if name in absent else f"from {least:.3f}"
        yield f"* {markdown(name)}: {word}"
    yield "\n```\nscore        objects"
    most = max(tally.scores, default=0) or 1
    for index, number in enumerate(tally.scores):
        bar = "#" * round(_BAR * number / most)
        low = f"{index / BINS:.2f} to {(index + 1) / BINS:.2f}"
        yield f"{low} {number:9,} {bar}".rstrip()
    yield "```\n"


def _licences(manifest: Manifest) -> Iterator[str]:
    yield "## Licences\n"
    found = needs(manifest.about["config"])
    yield "* images: those of their source; ipseg does not know them"
    yield "* labels: made by ipseg (Apache-2.0), which claims no right in them"
    for each in found:
        commercial = " (not for commercial use)" if each.source.commercial is False else ""
        licence = markdown(each.source.licence)
        yield f"* weights {markdown(each.name)}: {licence}{commercial}"
    if not found:
        yield "* weights: none, nothing was learned"
    yield ""


def _how(request: Request, manifest: Manifest) -> Iterator[str]:
    yield "## How it was made\n"
    about: dict[str, Any] = manifest.about
    shares = ", ".join(f"{name} {share:g}" for name, share in request.splits.shares.items())
    by = request.splits.column or request.splits.by
    yield f"* settings sha256: {about['config_sha256']}"
    if request.splits.column is None:
        salt = markdown(request.splits.salt)
        yield f"* sides: {shares}, by the hash of {markdown(by)} with the salt {salt}"
    else:
        yield f"* sides: by the column {markdown(by)}"
    config = {name: each for name, each in about["config"].items() if name not in _SETTINGS}
    indented = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    yield "\n```yaml\n" + indented.replace("```", "'''") + "```"
