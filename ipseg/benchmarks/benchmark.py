"""The interface of all benchmarks: files on disk in, classes and episodes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import ClassVar

from ipseg.benchmarks.dropped import Dropped
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.layout import locate
from ipseg.benchmarks.protocol import Protocol
from ipseg.errors import ConfigError, SourceError

Progress = Callable[[int, int], None]  # done, of how many: bytes of a file, or files
Task = tuple[int, Example, Sequence[Example]]  # class id, query, supports

_SEEDS = 2**32  # seeds of NumPy's legacy generator are below this
_IRREPRODUCIBLE = {
    "sansa": "its release draws in six worker processes, each with a state of NumPy's generator "
    "that depends on how many numbers PyTorch drew while its network was built. With "
    "--num_workers 0 it draws the list of the reference, which is the empty rule"
}


@dataclass(frozen=True)
class Sampling:
    """How episodes are drawn.

    Attributes:
        shot: supports of each episode.
        seed: for NumPy's legacy generator, which the reference implementations use.
        rule: name of a sampling rule of the benchmark; "" is the rule of its reference
            implementation.
        exclude_prompt: leaves out queries that are also supports.
    """

    shot: int = 1
    seed: int = 0
    rule: str = ""
    exclude_prompt: bool = True


@dataclass(eq=False)
class Benchmark(ABC):
    """A data set on disk and its episodes; opening it reads nothing yet.

    Attributes:
        name: on the command line.
        title: in papers.
        layout: the files it needs below its root, for errors and `--help`.
        places: candidate folders of the data set at or below its root; "" is the root itself.
        needed: files, and folders (with a trailing slash), that one of them must hold.
        rules: sampling rules besides the reference "": name -> what it does.
        one_shot: rules with one support for each episode.
        seeded: rules that draw with the seed.
        protocol: of the numbers in the paper.
        protocols: rule -> protocol, of the rules with another one.
        formulas: ids of all formulas that make sense here, including the protocol's.
        root: local path or fsspec URL.
        shot: supports of each episode, on which the folds of some benchmarks depend.
        cache: folder for an index of label maps; None keeps it in the data root.
        strict: refuses records of annotations that cannot be used, instead of leaving them out.
        dropped: what was left out so far.
        progress: called with (done, all) while annotations or label maps are read for the first
            time.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    layout: ClassVar[str]
    places: ClassVar[tuple[str, ...]] = ("",)
    needed: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[dict[str, str]] = {}
    one_shot: ClassVar[Collection[str]] = ()
    seeded: ClassVar[Collection[str]] = ()
    protocol: ClassVar[Protocol] = Protocol()
    protocols: ClassVar[dict[str, Protocol]] = {}
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D")

    root: str
    _: KW_ONLY
    shot: int = 1
    cache: str | None = None
    strict: bool = False
    progress: Progress | None = field(default=None, repr=False)
    dropped: Dropped = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.root = self.root.rstrip("/")
        self.dropped = Dropped(strict=self.strict)

    def protocol_of(self, rule: str) -> Protocol:
        """The protocol under a sampling rule; most rules share the paper's."""
        return self.protocols.get(rule, self.protocol)

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of its folds or splits; ("",) if there is only one."""
        return ("",)

    @abstractmethod
    def check(self) -> None:
        """Checks that the required files exist.

        Raises:
            SourceError: says what is missing, where it was expected, and how to get it.
        """

    @abstractmethod
    def classes(self, fold: str) -> dict[int, str]:
        """All classes of a fold, id -> name, including those without an episode."""

    def check_sampling(self, fold: str, sampling: Sampling) -> None:
        """Refuses a fold, rule, shot or seed that is not possible.

        Raises:
            SourceError: there is no such fold or rule (lists those there are), or the rule cannot
                be reproduced (says why).
            ConfigError: shot is below 1, or above it where only one support is defined, or the
                legacy generator cannot be given this seed.
        """
        rule, shot = sampling.rule, sampling.shot
        if fold not in self.folds:
            raise SourceError(f"{self.name} has no fold '{fold}'; it has {', '.join(self.folds)}")
        if rule in _IRREPRODUCIBLE:
            raise SourceError(
                f"the episodes of rule '{rule}' cannot be reproduced: {_IRREPRODUCIBLE[rule]}"
            )
        if rule and rule not in self.rules:
            known = ", ".join(f"'{rule}'" for rule in self.rules)
            raise SourceError(
                f"{self.name} has no sampling rule '{rule}'; "
                + (f"it has {known}" if known else "it has only its reference rule, the empty name")
            )
        if rule in self.one_shot and shot != 1:
            raise ConfigError(
                f"{self.name} with rule '{rule}' has one support for each episode; shot must be 1, "
                f"not {shot}"
            )
        if shot < 1:
            raise ConfigError(f"shot is {shot}; an episode needs at least one support")
        if not 0 <= sampling.seed < _SEEDS:
            raise ConfigError(f"seed is {sampling.seed}; it must be from 0 to {_SEEDS - 1}")

    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """The episodes of a fold in the order of the reference implementation; see the class.

        Raises:
            SourceError: as `check_sampling`, or the data is incomplete or malformed (names the
                file), or too small for the rule.
            ConfigError: as `check_sampling`.
        """
        self.check_sampling(fold, sampling)
        names = self.classes(fold)
        seed = sampling.seed if sampling.rule in self.seeded else None
        return [
            Episode(number, fold, class_id, names[class_id], query, tuple(supports), seed)
            for number, (class_id, query, supports) in enumerate(self._tasks(fold, sampling))
        ]

    @abstractmethod
    def _tasks(self, fold: str, sampling: Sampling) -> Iterable[Task]:
        """The episodes without their names, for a sampling that `check_sampling` has accepted."""

    @cached_property
    def _base(self) -> str:
        """The folder that holds everything needed."""
        return locate(self.root, self.places, self.needed, title=self.title, layout=self.layout)

    def _incomplete(self, missing: str, more: str = "") -> SourceError:
        return SourceError(
            f"{self.title} is not complete: no {missing} in {self._base}{more}; it needs\n"
            f"{self.layout}"
        )


class PreparedBenchmark(Benchmark):
    """A benchmark that reads what was built from official annotation files."""

    @abstractmethod
    def prepare(self, out: str | None = None) -> list[str]:
        """Builds it from the annotations in the data root.

        Args:
            out: folder to write to instead, which is then a data root.

        Returns:
            The files that were written.

        Raises:
            SourceError: there is nothing to build from, or an annotation is malformed (names file
                and entry).
            OutputError: it cannot be written.
            OSError: a file cannot be read.
        """
