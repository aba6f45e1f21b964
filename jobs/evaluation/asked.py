"""What somebody wants evaluated, and whether it makes sense, before any data is read."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ipseg.benchmarks.benchmark import Benchmark, Protocol, Sampling
from ipseg.benchmarks.datasets.drawing import PROMPT_SET, check_request
from ipseg.benchmarks.published.paper_tables import FORMULA as PAPER_FORMULA
from ipseg.benchmarks.published.paper_tables import PROFILES, PaperTable, paper_table
from ipseg.config import load_config
from ipseg.errors import ConfigError, SourceError
from ipseg.metrics import formula_of
from ipseg.metrics.episode_counts import BOUNDARY
from pipeline.evaluation.passes import Variant
from pipeline.process import EngineName
from pipeline.runfolder.ledger import Retry

log = logging.getLogger("ipseg")


@dataclass(frozen=True)
class Asked:
    """What somebody wants evaluated.

    Attributes:
        benchmark: opened on its data root.
        out: run folder.
        sampling: of episodes.
        profile: name of a profile, or a YAML file.
        method: replaces the profile's; None keeps it.
        settings: overrides for all variants, "section.key=value".
        sweep: "section.key=v1,v2,..." each; every combination is a variant.
        table: of the paper, whose rows are the variants; None for none.
        folds: to run; empty for all.
        given_mask: supports come with their ground-truth mask; None leaves it to the protocol.
        formula: the number that stands first; None leaves it to the protocol.
        limit: episodes of each fold; None for all.
        engine: 'ray' or 'local'.
        overwrite: start over.
        retry: what failed and is to be done again.
        max_failure_rate: of queries, after which the run is stopped; None for never.
    """

    benchmark: Benchmark
    out: str
    sampling: Sampling = field(default_factory=Sampling)
    profile: str = "ipseg"
    method: str | None = None
    settings: Sequence[str] = ()
    sweep: Sequence[str] = ()
    table: int | None = None
    folds: Sequence[str] = ()
    given_mask: bool | None = None
    formula: str | None = None
    limit: int | None = None
    engine: EngineName = "ray"
    overwrite: bool = False
    retry: Retry | None = None
    max_failure_rate: float | None = None


@dataclass(frozen=True)
class Resolved:
    """The same with every choice made.

    Attributes:
        folds: to run, at least one.
        protocol: how masks are compared.
        formula: the number that stands first.
        formulas: all numbers, that one first.
        variants: settings to run, at least one.
    """

    folds: list[str]
    protocol: Protocol
    formula: str
    formulas: list[str]
    variants: list[Variant]


def as_the_paper(asked: Asked) -> Asked:
    """For a table of the paper the rule whose numbers it prints, where none is named.

    Raises:
        ConfigError: the table has no numbers of this benchmark; or its rows are prompt sets, and
            the benchmark draws none.
    """
    if asked.table is None:
        return asked
    table, benchmark, rule = paper_table(asked.table), asked.benchmark, asked.sampling.rule
    if asked.sweep:
        raise ConfigError("give either --sweep or --table")
    printed = list(dict.fromkeys(name for row in table.rows for name in row.printed))
    if benchmark.name not in printed:
        raise ConfigError(
            f"table {table.number} of the paper has no numbers of {benchmark.name}; it has "
            f"{', '.join(printed)}. To run the same settings on other data, use --sweep"
        )
    if any(row.prompt_set is not None for row in table.rows):
        _check_prompt_sets(asked, table)
        rule = PROMPT_SET
    if not rule:
        rules = ("", *benchmark.rules)
        rule = next((r for r in rules if benchmark.protocol_of(r).formula == PAPER_FORMULA), "")
        if rule:
            log.info("table %d: episodes by rule '%s', as in the paper", table.number, rule)
    return replace(asked, sampling=replace(asked.sampling, rule=rule))


def resolve(asked: Asked) -> Resolved:
    """Makes every choice and checks it; only the folds of IPSeg's layout need a look at the data.

    Raises:
        ConfigError: something that is asked for does not exist or does not fit the rest.
        SourceError: the data is not there.
    """
    benchmark, sampling = asked.benchmark, asked.sampling
    protocol = benchmark.protocol_of(sampling.rule)
    if asked.given_mask is not None:
        protocol = replace(protocol, given_mask=asked.given_mask)
    formula = formula_of(asked.formula or protocol.formula)
    if not protocol.boundaries and set(formula.estimator.needs) & set(BOUNDARY):
        raise ConfigError(
            f"formula {formula.id} compares outlines, which {benchmark.name} does not; choose "
            f"among {', '.join(benchmark.formulas)}"
        )
    variants = _variants(asked, given_mask=protocol.given_mask)
    folds = _folds(asked)
    _check_sampling(benchmark, folds[0], sampling)
    return Resolved(
        folds,
        protocol,
        formula.id,
        list(dict.fromkeys([formula.id, *benchmark.formulas])),
        variants,
    )


def _check_prompt_sets(asked: Asked, table: PaperTable) -> None:
    name, rule, seed = asked.benchmark.name, asked.sampling.rule, asked.sampling.seed
    if PROMPT_SET not in asked.benchmark.rules:
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
    listed = any(rule.endswith(".txt") for rule in benchmark.rules)
    rule = "" if listed and sampling.rule.endswith(".txt") else sampling.rule
    try:
        check_request(benchmark, fold, replace(sampling, rule=rule))
    except SourceError as error:  # a rule is part of the call, whatever data is there
        raise ConfigError(str(error)) from error


def _folds(asked: Asked) -> list[str]:
    known = asked.benchmark.folds
    for fold in asked.folds:
        if fold not in known:
            raise ConfigError(
                f"{asked.benchmark.name} has no fold '{fold}'; it has "
                f"{', '.join(known) if any(known) else 'only one, without a name'}"
            )
    return [fold for fold in known if not asked.folds or fold in asked.folds]


def _variants(asked: Asked, *, given_mask: bool) -> list[Variant]:
    if asked.table is not None:
        return _table_rows(asked, paper_table(asked.table), given_mask=given_mask)
    choices = [_choices(each) for each in asked.sweep]
    variants = []
    for chosen in itertools.product(*choices):
        config = load_config(asked.profile, [*asked.settings, *chosen], asked.method)
        variants.append(Variant(", ".join(chosen), config, given_mask, chosen))
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ConfigError("a setting of the sweep is there twice")
    return variants


def _choices(sweep: str) -> list[str]:
    key, sign, values = sweep.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not sign or not key.strip() or not all(listed):
        raise ConfigError(f"--sweep {sweep!r} is not of the form section.key=value,value,...")
    return [f"{key.strip()}={value}" for value in listed]


def _table_rows(asked: Asked, table: PaperTable, *, given_mask: bool) -> list[Variant]:
    variants: list[Variant] = []
    for row in table.rows:
        if not row.runnable:
            log.warning("table %d, %s: left out (%s)", table.number, row.label, row.note)
            continue
        config = load_config(asked.profile, [*asked.settings, *row.settings], asked.method)
        variant = Variant(row.label, config, given_mask or row.given_mask, row.settings)
        same = next((v for v in variants if _is_same(v, variant)), None)
        if same is not None and row.prompt_set is None:
            raise ConfigError(
                f"with profile '{config.profile}' the rows '{same.label}' and '{row.label}' of "
                f"table {table.number} are the same; it is about the parts of profile "
                f"'{PROFILES[0]}'"
            )
        variants.append(variant)
    if variants[0].config.profile not in PROFILES:
        log.warning(
            "the rows of table %d are settings of profile '%s'; with '%s' only the labels are the "
            "paper's",
            *(table.number, PROFILES[0], variants[0].config.profile),
        )
    return variants


def _is_same(one: Variant, other: Variant) -> bool:
    return one.config.sha256 == other.config.sha256 and one.given_mask == other.given_mask
