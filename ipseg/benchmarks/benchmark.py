"""What every benchmark offers, wherever its files lie and however they are laid out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from ipseg.benchmarks.episode import Episode
from ipseg.errors import ConfigError, SourceError

Progress = Callable[[int, int], None]  # done, of how many: bytes of a file, or files


@dataclass(frozen=True)
class Protocol:
    """How masks are compared; part of every number's identity.

    Attributes:
        formula: id in `ipseg.metrics` of the number that stands first.
        side: masks are squashed to this many pixels squared before they are compared; the method
            itself sees the picture as it is. None compares at the original size.
        truth_rule: how ground truth is brought to that size: "nearest", or "linear" and then
            above zero, which grows it by a border (IPSeg's release).
        given_mask: supports come with their ground-truth mask; False isolates them by saliency.
        boundaries: outlines are compared too (DAVIS' F).
        assign: "binary" judges each class by itself; "argmax" gives each pixel to the class that
            is surest, or to the background.
    """

    formula: str = "A"
    side: int | None = None
    truth_rule: Literal["nearest", "linear"] = "nearest"
    given_mask: bool = False
    boundaries: bool = False
    assign: Literal["binary", "argmax"] = "binary"


@dataclass(frozen=True)
class Sampling:
    """How episodes are drawn.

    Attributes:
        shot: supports of each episode.
        seed: of the legacy NumPy generator the reference implementations use.
        rule: name of a sampling rule of the benchmark; "" is its reference.
        exclude_prompt: leaves queries out that are among the run's supports.
    """

    shot: int = 1
    seed: int = 0
    rule: str = ""
    exclude_prompt: bool = True


class Benchmark(ABC):
    """A data set on disk and its episodes.

    Attributes:
        name: as the command calls it.
        title: as papers call it.
        layout: the files it needs below its root, for errors and `--help`.
        rules: sampling rules it knows beside the reference "", name -> what it does.
        protocol: of the numbers in the paper.
        formulas: ids of all the numbers that make sense here, the protocol's among them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    layout: ClassVar[str]
    rules: ClassVar[dict[str, str]] = {}
    protocol: ClassVar[Protocol] = Protocol()
    formulas: ClassVar[tuple[str, ...]] = ("A", "A'", "B", "D")

    def __init__(
        self,
        root: str,
        *,
        shot: int = 1,
        cache: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Takes the data root; reads nothing yet.

        Args:
            root: local path or fsspec URL.
            shot: supports of each episode, on which the folds of some benchmarks depend.
            cache: folder for an index of label maps; None keeps it in the data root.
            progress: called with (done, all) while annotations or label maps are read for the
                first time.
        """
        self.root = root.rstrip("/")
        self.shot = shot
        self._cache = cache
        self._progress = progress

    def protocol_of(self, rule: str) -> Protocol:
        """How masks are compared under a sampling rule; most rules share the paper's protocol."""
        return self.protocol

    @property
    @abstractmethod
    def folds(self) -> tuple[str, ...]:
        """Names of its folds or splits, ("",) where there is only one."""

    @abstractmethod
    def check(self) -> None:
        """Looks for the files that are needed.

        Raises:
            SourceError: names what is missing, where it was looked for, and how to get it.
        """

    @abstractmethod
    def classes(self, fold: str) -> dict[int, str]:
        """All classes of a fold, id -> name; also those of which no episode is drawn."""

    @abstractmethod
    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """The episodes of a fold in the order of the reference implementation.

        Raises:
            SourceError: an annotation is malformed (names the file), or the rule is unknown.
        """


def check_rule(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses a sampling rule the benchmark does not know.

    Raises:
        SourceError: names the rules it knows.
    """
    if sampling.rule and sampling.rule not in benchmark.rules:
        known = ", ".join(f"'{rule}'" for rule in benchmark.rules)
        raise SourceError(
            f"{benchmark.name} has no sampling rule '{sampling.rule}'; "
            + (f"it knows {known}" if known else "it has only its reference, the empty name")
        )


def check_one_shot(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses more supports than one where only one is defined.

    Raises:
        ConfigError: says so.
    """
    if sampling.shot != 1:
        raise ConfigError(
            f"{benchmark.name} with rule '{sampling.rule}' shows one example; "
            f"shot must be 1, not {sampling.shot}"
        )
