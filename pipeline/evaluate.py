"""`ipseg evaluate` as a function: episodes are rows that ask for their supports."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter
from typing import Any

import pyarrow as pa

from ipseg.bank import Bank
from ipseg.benchmarks.episode import Episode, Example, to_table
from ipseg.benchmarks.protocol import Protocol
from ipseg.config import Config
from ipseg.prompts import MASK_SUFFIX
from ipseg.rows import Row, Step
from ipseg.steps.judge import Judge
from ipseg.storage.stamps import stamps
from pipeline.engines.choice import EngineName
from pipeline.job import Done, Job, Listed, run_job
from pipeline.prompts import Prompts
from pipeline.runfolder.finished import Retry
from pipeline.sources.listing import Spool
from pipeline.sources.sequences import as_sequences, sequence_of
from pipeline.sources.source import Source
from pipeline.stages.record import FailureBudget

QUERY_COLUMNS = ("key", "uri", "version", "frame_uris", "crop", "asks")
_ASKED = ("episode", "fold", "class_id", "class_name")


@dataclass(frozen=True)
class Evaluation:
    """Episodes to run, and how.

    Attributes:
        benchmark: its name.
        episodes: of all folds.
        protocol: how masks are compared.
        variants: label -> settings to run them with, at least one; "" for the only one.
        out: run folder, path or fsspec URL.
        engine: 'ray', or 'local' for this process alone.
        overwrite: start over, instead of going on with what is there.
        retry: finished queries to do again, None for none. Without types it also covers supports
            and ground truth that could not be read.
        budget: failed queries after which the run is stopped.
    """

    benchmark: str
    episodes: Sequence[Episode] = field(repr=False)
    protocol: Protocol
    variants: Mapping[str, Config]
    out: str
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    budget: FailureBudget = field(default_factory=lambda: FailureBudget(1.0))

    @property
    def identity(self) -> dict[str, Any]:
        """What the run folder is bound to beside settings and weights."""
        first = self.episodes[0]
        sink = io.BytesIO()
        table = to_table(self.episodes)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return {
            "benchmark": self.benchmark,
            "episodes": {
                "folds": list(dict.fromkeys(episode.fold for episode in self.episodes)),
                "shot": first.shot,
                "seed": first.seed,
                "count": len(self.episodes),
                "sha256": hashlib.sha256(sink.getvalue()).hexdigest(),
            },
            "protocol": asdict(self.protocol),
        }

    @property
    def of_sequences(self) -> bool:
        """Whether a row is a sequence rather than an image."""
        return next(iter(self.variants.values())).method.row_is == "sequence"

    @property
    def judged(self) -> bool:
        """Whether there is ground truth to compare with."""
        return any(episode.query.ground_truth for episode in self.episodes)

    @property
    def rows(self) -> list[Row]:
        """The images or sequences, each once, with all that it is asked for."""
        if not self.of_sequences:
            return _queries(self.episodes)
        rows = as_sequences(_queries(self.episodes, supports=True))
        for row in rows:
            # Object by object, as the benchmark numbers them: the last one may be preferred.
            row["asks"].sort(key=itemgetter("class_id", "frame"))
        return rows

    @property
    def asked(self) -> dict[str, list[Episode]]:
        """Key of a row -> the episodes that it answers."""
        episodes: dict[str, list[Episode]] = {}
        for episode in self.episodes:
            query = episode.query.key
            key = sequence_of(query) if self.of_sequences else query
            episodes.setdefault(key, []).append(episode)
        return episodes


def evaluate(work: Evaluation) -> Done:
    """Runs all episodes with all settings, or goes on with what is there.

    Raises:
        IpsegError: something the caller can fix.
    """
    variants = {label: _with_orientation(c, work.protocol) for label, c in work.variants.items()}
    images = next(iter(variants.values())).images
    protocol = replace(work.protocol, mask_orientation=images.mask_orientation)

    def judge(banks: dict[str, Bank]) -> list[Step]:
        return [Judge(protocol, banks)]

    job = Job(
        out=work.out,
        variants=variants,
        listing=_listed(work),
        prompts=supports_of(work.episodes),
        identity=work.identity,
        about={"concepts": [], "images": work.benchmark},
        judge=judge,
        engine=work.engine,
        overwrite=work.overwrite,
        retry=work.retry,
        budget=work.budget,
    )
    return run_job(job)


def _with_orientation(config: Config, protocol: Protocol) -> Config:
    """The settings with the benchmark's rule of how masks lie on images, unless they have one."""
    if config.images.mask_orientation != "auto":
        return config
    images = replace(config.images, mask_orientation=protocol.mask_orientation)
    return replace(config, images=images)


@contextmanager
def _listed(work: Evaluation) -> Iterator[Listed]:
    with Spool(QUERY_COLUMNS) as spool:
        spool.add(work.rows)
        yield Queries(work.benchmark, spool)


@dataclass(frozen=True)
class Queries:
    """The queries of a benchmark, each image once."""

    benchmark: str
    spool: Spool

    def write(self, out: str, shards: int | None = None) -> Source:
        """See `pipeline.job.Listed`."""
        listed = self.spool.write(out, shards)
        return Source(self.benchmark, "queries", listed, self.spool.rows, {})


def _queries(episodes: Sequence[Episode], *, supports: bool = False) -> list[Row]:
    """One row for each image that is a query, with all that it is asked for.

    Args:
        episodes: of all folds.
        supports: a support in the folder of its query is a frame of the same video: it is a row as
            well, and asks for its object, so that methods find it from there on, as released ones
            do. It is not judged.
    """
    rows: dict[str, Row] = {}
    states = States(_examples(episodes))
    made_of: dict[str, list[Example]] = {}

    def row_of(example: Example, made: Sequence[Example]) -> Row:
        made_of.setdefault(example.key, []).extend(made)
        return rows.setdefault(example.key, {**image_row(example), "asks": []})

    started: set[tuple[str, str]] = set()
    for episode in episodes:
        query, concept = episode.query, entry_of(episode)
        asked = {name: getattr(episode, name) for name in _ASKED}
        asked |= {"concept": concept, "frame": 0, "ground_truth": query.ground_truth or None}
        row_of(query, (query, *episode.supports))["asks"].append(asked)
        for support in episode.supports if supports else ():
            same = sequence_of(support.key) == sequence_of(query.key)
            if same and (support.key, concept) not in started:
                started.add((support.key, concept))
                begins = {"concept": concept, "class_id": episode.class_id, "frame": 0}
                row_of(support, (support,))["asks"].append(begins)
    for key, made in made_of.items():
        rows[key]["version"] = states.of(made)
    return list(rows.values())


def _examples(episodes: Sequence[Episode]) -> Iterator[Example]:
    return (each for episode in episodes for each in (episode.query, *episode.supports))


def _files(example: Example) -> list[str]:
    """Files that an example is made of; masks that are in its address are none."""
    mask = example.ground_truth
    return [example.uri, *([] if mask.startswith("rle:") else [mask.rpartition("#")[0]])]


class States:
    """What changes when a file of an example does: a number is only as good as its ground truth."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Asks the storage for all files, each once."""
        files = {file for each in examples for file in _files(each) if file}
        self._known = {"": ""} | {file: str(stamp) for file, stamp in stamps(files).items()}

    def of(self, examples: Iterable[Example]) -> str:
        """The version of a row that is made of these."""
        known = [self._known[file] for each in examples for file in _files(each)]
        return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def image_row(example: Example) -> Row:
    """An image to look into."""
    crop = None if example.crop is None else list(example.crop)
    return {"key": example.key, "uri": example.uri, "crop": crop}


def entry_of(episode: Episode) -> str:
    """Name of the bank entry of an episode's supports: the same for the same supports."""
    listed = "\n".join(f"{support.key} {support.ground_truth}" for support in episode.supports)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def supports_of(episodes: Sequence[Episode]) -> Prompts:
    """The supports of episodes as prompts: each image and mask once, whatever uses it."""
    rows: dict[str, Row] = {}
    concepts: dict[str, list[str]] = {}
    states = States(_examples(episodes))
    for episode in episodes:
        made = [
            {**support_row(support, episode.class_name), "version": states.of([support])}
            for support in episode.supports
        ]
        rows |= {row["key"]: row for row in made}
        concepts[entry_of(episode)] = [row["key"] for row in made]
    return Prompts(list(rows.values()), concepts, needed=False)


def support_row(support: Example, class_name: str) -> Row:
    """A prompt: an image with the mask of an object of the class."""
    # A mask beside a prompt was put there to be used; ground truth only where the protocol says so.
    beside = f"{MASK_SUFFIX}#" in support.ground_truth.lower()
    return {
        **image_row(support),
        # An image may be an example of several classes, each with a mask of its own.
        "key": f"{support.key} {hashlib.sha256(support.ground_truth.encode()).hexdigest()[:8]}",
        "concept": class_name,
        "given_mask": support.ground_truth if beside else None,
        "ground_truth": support.ground_truth,
    }
