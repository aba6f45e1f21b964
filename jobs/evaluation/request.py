"""A request to evaluate, and whether it makes sense, before any data is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ipseg.benchmarks.benchmark import Benchmark, Sampling
from ipseg.benchmarks.datasets.drawing import PROMPT_SET
from ipseg.benchmarks.protocol import Protocol
from ipseg.benchmarks.published.paper_tables import FORMULA as PAPER_FORMULA
from ipseg.benchmarks.published.paper_tables import PaperTable, paper_table
from ipseg.errors import ConfigError, SourceError
from ipseg.metrics import formula_of
from ipseg.metrics.episode_counts import BOUNDARY, INSTANCES
from jobs.evaluation.refusal import refused, without
from jobs.evaluation.settings import Choice, Setting
from pipeline.engines.choice import EngineName
from pipeline.runfolder.finished import Retry
from pipeline.stages.record import FailureBudget

log = logging.getLogger("ipseg")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is measured on a benchmark of any kind, and how the run is started.

    Attributes:
        out: run folder.
        profiles: names of profiles, or YAML files; several are compared. None: of each method that
            of its name, and without methods the default.
        methods: replace the profiles' own; several are compared.
        settings: overrides, "section.key=value", of all methods that have them.
        sweep: "section.key=v1,v2,..." each; every combination is compared.
        folds: to run; empty for all.
        support: how the object of a support is found; several are compared, none leaves it to
            protocol and profile.
        limit: episodes, or images, of each fold; None for all.
        engine: as `pipeline.process.Start.engine`.
        overwrite: start over.
        retry: what failed and is to be done again.
        max_failure_rate: of queries, after which the run is stopped; None for never.
    """

    out: str
    profiles: Sequence[str] = ()
    methods: Sequence[str] = ()
    settings: Sequence[str] = ()
    sweep: Sequence[str] = ()
    folds: Sequence[str] = ()
    support: Sequence[str] = ()
    limit: int | None = None
    engine: EngineName = "auto"
    overwrite: bool = False
    retry: Retry | None = None
    max_failure_rate: float | None = None

    @property
    def budget(self) -> FailureBudget:
        """Failed queries after which the run is stopped."""
        rate = self.max_failure_rate
        return FailureBudget.of(1.0 if rate is None else rate)

    def folds_of(self, name: str, known: Sequence[str]) -> list[str]:
        """The folds to run, in the benchmark's order.

        Args:
            name: of the benchmark.
            known: its folds.

        Raises:
            ConfigError: one of those that are asked for does not exist.
        """
        for fold in self.folds:
            if fold not in known:
                raise ConfigError(
                    f"{name} has no fold '{fold}'; it has "
                    f"{', '.join(known) if any(known) else 'only one, without a name'}"
                )
        return [fold for fold in known if not self.folds or fold in self.folds]


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest(Measured):
    """Episodes that somebody wants evaluated.

    Attributes:
        benchmark: opened on its data root.
        sampling: of episodes.
        table: of the paper, whose rows are compared; None for none.
        mask_frame: 'segmenter' compares masks as the segmenter saw the image, as IPSeg's released
            code does; None at the size of the image.
        formula: of the headline number; None leaves it to the protocol.
    """

    benchmark: Benchmark
    sampling: Sampling = field(default_factory=Sampling)
    table: int | None = None
    mask_frame: str | None = None
    formula: str | None = None


@dataclass(frozen=True)
class Resolved:
    """The same with every choice made.

    Attributes:
        folds: to run, at least one.
        protocol: how masks are compared.
        formula: of the headline number.
        formulas: all numbers, that one first.
        settings: to compare, at least one.
        refused: label of each that cannot run -> why.
    """

    folds: list[str]
    protocol: Protocol
    formula: str
    formulas: list[str]
    settings: list[Setting]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def running(self) -> list[Setting]:
        """The settings that are not refused, at least one."""
        return without(self.settings, self.refused)


def as_the_paper(request: EvaluationRequest) -> EvaluationRequest:
    """For a table of the paper the rule whose numbers it prints, where none is named.

    Raises:
        ConfigError: the table has no numbers of this benchmark; or its rows are prompt sets, and
            the benchmark draws none.
    """
    if request.table is None:
        return request
    table, benchmark = paper_table(request.table), request.benchmark
    rule = request.sampling.rule
    if request.sweep:
        raise ConfigError("give either --sweep or --paper-table")
    if len(request.profiles) > 1 or len(request.methods) > 1:
        raise ConfigError("the rows of --paper-table are settings of one profile and method")
    if benchmark.name not in table.benchmarks:
        raise ConfigError(
            f"table {table.number} of the paper has no numbers of {benchmark.name}; it has "
            f"{', '.join(table.benchmarks)}. To run the same settings on other data, use --sweep"
        )
    if any(row.prompt_set is not None for row in table.rows):
        _check_prompt_sets(request, table)
        rule = PROMPT_SET
    if not rule:
        rules, formula = ("", *benchmark.rules), request.formula or PAPER_FORMULA
        rule = next((r for r in rules if benchmark.protocol_of(r).formula == formula), "")
        if rule:
            log.info("table %d: episodes by rule '%s', as in the paper", table.number, rule)
    return replace(request, sampling=replace(request.sampling, rule=rule))


def resolve(request: EvaluationRequest) -> Resolved:
    """Makes every choice and checks it; only the folds of IPSeg's layout need a look at the data.

    Raises:
        ConfigError: something that is wanted does not exist or does not fit the rest.
        SourceError: the data is not there.
        WeightsError: no setting can run, the first for want of weights.
    """
    benchmark, sampling = request.benchmark, request.sampling
    protocol = benchmark.protocol_of(sampling.rule)
    if request.support:
        protocol = replace(protocol, given_mask=set(request.support) == {"mask"})
    formula = formula_of(request.formula or protocol.formula)
    if not protocol.boundaries and set(formula.estimator.needs) & set(BOUNDARY):
        raise ConfigError(
            f"formula {formula.id} compares outlines, which {benchmark.name} does not; choose "
            f"among {', '.join(benchmark.formulas)}"
        )
    if set(formula.estimator.needs) & set(INSTANCES) and formula.id not in benchmark.formulas:
        raise ConfigError(
            f"formula {formula.id} compares single instances, which the masks of {benchmark.name} "
            f"do not tell apart; choose among {', '.join(benchmark.formulas)}"
        )
    overrides = list(request.settings)
    if request.mask_frame is not None:
        if protocol.side is None:
            raise ConfigError(
                f"--mask-frame needs a protocol that compares at one size; that of "
                f"{benchmark.name} compares at the size of each image"
            )
        overrides.append(f"refinement.frame={request.mask_frame}")
    choice = Choice(request, overrides, protocol.given_mask, lambda: _classes(benchmark))
    table = None if request.table is None else paper_table(request.table)
    settings = choice.settings() if table is None else choice.rows_of(table)
    if (orientation := settings[0].config.images.mask_orientation) != "auto":
        protocol = replace(protocol, mask_orientation=orientation)
    folds = request.folds_of(benchmark.name, benchmark.folds)
    _check_sampling(benchmark, folds[0], sampling)
    return Resolved(
        folds,
        protocol,
        formula.id,
        list(dict.fromkeys([formula.id, *benchmark.formulas])),
        settings,
        refused(settings),
    )


def _classes(benchmark: Benchmark) -> list[str]:
    """Names of the classes of all folds."""
    names = (benchmark.classes(fold).values() for fold in benchmark.folds)
    return list(dict.fromkeys(name for of_fold in names for name in of_fold))


def _check_prompt_sets(request: EvaluationRequest, table: PaperTable) -> None:
    name, rule, seed = request.benchmark.name, request.sampling.rule, request.sampling.seed
    if PROMPT_SET not in request.benchmark.rules:
        raise ConfigError(
            f"table {table.number} compares sets of prompts, and {name} has no rule '{PROMPT_SET}' "
            f"to draw them by; with lists of your own, arrange the data as ipseg-layout and run it "
            f"with --prompt-rule LIST.txt for each"
        )
    if rule not in ("", PROMPT_SET) or seed:
        raise ConfigError(
            f"table {table.number} draws its sets by rule '{PROMPT_SET}' with seeds of its own; "
            f"leave out --prompt-rule and --seed"
        )


def _check_sampling(benchmark: Benchmark, fold: str, sampling: Sampling) -> None:
    try:
        benchmark.check_sampling(fold, sampling)
    except SourceError as error:  # a rule is part of the call, whatever data is there
        raise ConfigError(str(error)) from error
