"""The interface of all benchmarks: files on disk in, classes and episodes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from ipseg.benchmarks.episode import Episode
from ipseg.errors import ConfigError, SourceError
from ipseg.vision.images import MaskOrientation

Progress = Callable[[int, int], None]  # done, of how many: bytes of a file, or files


@dataclass(frozen=True)
class Protocol:
    """How masks are compared. Numbers of different protocols cannot be compared.

    Attributes:
        formula: id in `ipseg.metrics` of the main number.
        side: masks are resized to side x side pixels before they are compared, without keeping
            the aspect ratio; the method itself gets the original image. None compares at the
            original size.
        ground_truth_resize: how ground truth is resized to that: "nearest", or "linear" followed
            by a threshold above zero, which adds a border (IPSeg's release).
        given_mask: supports come with their ground-truth mask; False isolates them by saliency.
        boundaries: outlines are compared too (DAVIS' F).
        assign: "binary" evaluates each class separately; "argmax" assigns each pixel to the class
            with the highest score, or to the background.
        mask_orientation: see `ipseg.vision.images.ImageLimits`. Published masks are of the stored
            pixels, because the loaders of their authors know no EXIF orientation.
    """

    formula: str = "A"
    side: int | None = None
    ground_truth_resize: Literal["nearest", "linear"] = "nearest"
    given_mask: bool = False
    boundaries: bool = False
    assign: Literal["binary", "argmax"] = "binary"
    mask_orientation: MaskOrientation = "stored"


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


class Benchmark(ABC):
    """A data set on disk and its episodes.

    Attributes:
        name: on the command line.
        title: in papers.
        layout: the files it needs below its root, for errors and `--help`.
        rules: sampling rules besides the reference "": name -> what it does.
        protocol: of the numbers in the paper.
        formulas: ids of all formulas that make sense here, including the protocol's.
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
        """The protocol under a sampling rule; most rules share the paper's."""
        return self.protocol

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

    @abstractmethod
    def episodes(self, fold: str, sampling: Sampling) -> list[Episode]:
        """The episodes of a fold in the order of the reference implementation.

        Raises:
            SourceError: an annotation is malformed (names the file), or the rule is unknown.
        """


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


def check_rule(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses a sampling rule the benchmark does not have.

    Raises:
        SourceError: lists the rules it has.
    """
    if sampling.rule and sampling.rule not in benchmark.rules:
        known = ", ".join(f"'{rule}'" for rule in benchmark.rules)
        raise SourceError(
            f"{benchmark.name} has no sampling rule '{sampling.rule}'; "
            + (f"it has {known}" if known else "it has only its reference rule, the empty name")
        )


def check_one_shot(benchmark: Benchmark, sampling: Sampling) -> None:
    """Refuses more than one support where only one is defined.

    Raises:
        ConfigError: shot is not 1.
    """
    if sampling.shot != 1:
        raise ConfigError(
            f"{benchmark.name} with rule '{sampling.rule}' has one support for each episode; "
            f"shot must be 1, not {sampling.shot}"
        )
