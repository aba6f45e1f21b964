"""All methods side by side in one run folder, each by the first of its profiles.

    python tests/battery/together.py WEIGHTS SCENES OUT

does it in this process, and kills that with the first part written: nothing is tidied up.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ended import KillsItself
from scenes import Scenes
from subject import Subject

from ipseg.config import profiles
from ipseg.prompts import find_prompts
from ipseg.rows import Step
from pipeline.engines.choice import EngineName
from pipeline.job import Job
from pipeline.prompts import Prompts
from pipeline.sources.source import list_source

# Two rows to a part; all networks of all profiles on a card that there is not.
_RUNTIME = ("runtime.part_rows=2", "runtime.batch_size=2", "runtime.gpu_card_gb=999")


def subjects(root: Path, scenes: Scenes, row_is: str = "image") -> dict[str, Subject]:
    """Profile -> its subject, one of each method whose rows are images, or sequences."""
    every = [Subject(name, root, scenes, _RUNTIME) for name in profiles()]
    some = {each.config.method_name: each for each in reversed(every)}
    return {each.profile: each for each in some.values() if each.config.method.row_is == row_is}


def job(
    tried: dict[str, Subject], out: str, engine: EngineName, steps: tuple[Step, ...] = ()
) -> Job:
    """The job that runs all of them."""
    first = next(iter(tried.values()))
    rows = find_prompts(str(first.scenes.prompts))
    row_is = first.config.method.row_is
    images = str(first.scenes.source(row_is))
    concepts: dict[str, list[str]] = {}
    for row in rows:
        concepts.setdefault(row["concept"], []).append(row["key"])
    return Job(
        out=out,
        variants={name: subject.config for name, subject in tried.items()},
        listing=list_source(images, out, sequences=row_is == "sequence"),
        prompts=Prompts(rows, concepts),
        engine=engine,
        steps=steps,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    weights, place, folder = sys.argv[1:]
    those = subjects(Path(weights), Scenes(Path(place)))
    run_job(job(those, folder, "local", (KillsItself(folder),)))
