"""Few-shot instances: references of all classes are looked for in every image of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ipseg.benchmarks.episode import Example
from ipseg.config import Config
from ipseg.objects import Object
from pipeline.evaluate import QUERY_COLUMNS, Queries, States, image_row, support_row
from pipeline.job import Done, Job, Listed, run_job
from pipeline.process import Start
from pipeline.prompts import Prompts
from pipeline.runfolder.parts import read_rows
from pipeline.sources.listing import Spool


@dataclass(frozen=True, kw_only=True)
class InstanceSearch(Start):
    """What to look for, in which images.

    Attributes:
        benchmark: its name.
        fold: its name.
        images: to look into.
        references: class -> examples with their masks.
        variants: label -> settings, at least one; "" for the only one.
        out: run folder, path or fsspec URL.
    """

    benchmark: str
    fold: str
    images: Sequence[Example] = field(repr=False)
    references: Mapping[str, Sequence[Example]] = field(repr=False)
    variants: Mapping[str, Config]
    out: str


def find_instances(work: InstanceSearch) -> Done:
    """Looks for all classes in all images, or goes on with what is there.

    Raises:
        IpsegError: something the caller can fix.
    """
    names = sorted(work.references)
    prompts = _prompts(work.references)
    job = Job(
        out=work.out,
        variants=work.variants,
        listing=_listed(work),
        prompts=prompts,
        identity={"benchmark": work.benchmark, "fold": work.fold, "prompts": prompts.concepts},
        about={"concepts": names, "images": work.benchmark},
        looks_for=names,
        **work.start,
    )
    return run_job(job)


def _prompts(references: Mapping[str, Sequence[Example]]) -> Prompts:
    states = States(each for shots in references.values() for each in shots)
    rows = {
        name: [{**support_row(each, name), "version": states.of([each])} for each in shots]
        for name, shots in references.items()
    }
    return Prompts(
        [row for of_class in rows.values() for row in of_class],
        {name: [row["key"] for row in of_class] for name, of_class in rows.items()},
        needed=False,  # a tiny object may be of no use to a network; the others are
    )


@contextmanager
def _listed(work: InstanceSearch) -> Iterator[Listed]:
    states = States(work.images)
    with Spool(QUERY_COLUMNS) as spool:
        spool.add({**image_row(each), "version": states.of([each])} for each in work.images)
        yield Queries(work.benchmark, spool)


def found_instances(
    out: str, label: str, images: Mapping[str, int], categories: Mapping[str, int]
) -> list[dict[str, Any]]:
    """What a run has found, as COCO's results.

    Args:
        out: run folder.
        label: of the settings.
        images: key of a row -> number of its image.
        categories: concept -> number of its category.

    Returns:
        image_id, category_id, score, segmentation, bbox of each; those of images that failed are
        none.
    """
    return [
        {
            "image_id": images[row["key"]],
            "category_id": categories[each.concept],
            "score": each.score,
            "segmentation": each.segmentation,
            "bbox": each.bbox,
        }
        for row in read_rows(out, ("key", "objects"))
        for each in map(Object.from_record, row["objects"])
        if each.variant == label
    ]
