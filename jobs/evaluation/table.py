"""An evaluation on the terminal: its number, the published one, how sure, and over how much."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ipseg.metrics import FORMULAS
from ipseg.weights.finding import random_sentence
from jobs.evaluation import wording
from jobs.evaluation.comparison import Comparison
from jobs.evaluation.paper import lines
from jobs.evaluation.summary import Coverage, Interval, Summary, Variant
from jobs.pages.readable import NONE
from jobs.terminal import plain

_PARTIAL = "bold red"
_NEIGHBOURS = 3  # published numbers printed above and below this run's


def print_summary(summary: Summary, console: Console) -> None:
    """Prints the table, what is lacking in red, and the published numbers nearest to this one."""
    evaluation, chosen = summary.evaluation, summary.best
    formula = FORMULAS[chosen.headline.formula]
    title = f"{evaluation['title']}, {evaluation['shot']}-shot"
    console.print(plain(f"{title}: {evaluation['method']}, profile {evaluation['profile']}"))
    console.print(plain(f"{formula.id}, {formula.title}, percent: {formula.definition}"))
    several = len(summary.variants) > 1 or evaluation["table"] is not None
    console.print(sweep_table(summary) if several else fold_table(chosen))
    if any(variant.cost for variant in summary.variants):
        console.print(cost_table(summary))
    for variant in summary.variants:
        if variant.difference is not None:
            value, ends = wording.difference(variant.difference)
            console.print(
                plain(
                    f"{variant.label} minus {summary.first.label}: {value} "
                    f"(95 % {ends}, paired, {variant.difference.episodes:,} episodes)"
                )
            )
    for number in list(chosen.numbers.values())[1:] if len(summary.variants) == 1 else ():
        other = FORMULAS[number.formula]
        value = f"{wording.percent(number.value)} ({wording.span(number.interval)})"
        console.print(plain(f"by formula {other.id}, {other.title}: {value}"))
    near = nearest(chosen)
    if near:
        listed = "; ".join(f"{each.method} {each.value:.1f}" for each in near)
        console.print(plain(f"published, same formula and shot: {listed}"))
    if summary.published_list is False:
        console.print("the episodes are not those of the published list")
    for line in wording.dropped_lines(evaluation["dropped"]):
        console.print(plain(line), soft_wrap=True)
    random = random_sentence(evaluation.get("random_weights", ()))
    for sentence in filter(None, [*summary.gaps, random]):
        console.print(plain(sentence), style=_PARTIAL)


def fold_table(variant: Variant) -> Table:
    """One line for each fold, and the mean of the folds where there are several."""
    number, theirs = variant.headline, variant.counterpart
    table = _table("", theirs)
    published = variant.beside.folds if variant.beside else {}
    if len(number.folds) > 1:
        for fold, value in number.folds.items():
            beside = published.get(fold)
            delta = None if value is None or beside is None else 100 * value - beside
            cells = _cells(value, number.fold_intervals[fold], theirs and (beside, delta))
            episodes = _episodes(variant.fold_coverage[fold])
            table.add_row(plain(wording.fold_title(fold)), *cells, episodes)
        table.add_section()
    name = f"mean of {len(number.folds)} folds" if len(number.folds) > 1 else "all episodes"
    style = _PARTIAL if variant.coverage.partial else "bold"
    table.add_row(name, *_line(variant, bool(theirs)), style=style)
    return table


def sweep_table(summary: Summary) -> Table:
    """One line for each setting."""
    published = next((v.counterpart for v in summary.variants if v.counterpart), None)
    formulas = {v.counterpart.formula for v in summary.variants if v.counterpart}
    table = _table("setting", published, named=len(formulas) == 1)
    kind = ""
    for line in lines(summary):
        if line.kind != kind:
            kind = line.kind
            table.add_section()
            table.add_row(plain(kind), style="dim")
        variant = line.variant
        if variant is None:
            theirs = NONE if line.value is None else f"{line.value:.1f}"
            label = f"{line.label} (published, formula {line.formula})"
            table.add_row(plain(label), NONE, NONE, theirs, style="dim")
            continue
        style = "bold" if variant is summary.best else ""
        if variant.coverage.partial:
            style = _PARTIAL
        table.add_row(plain(variant.label), *_line(variant, bool(published)), style=style)
    return table


def cost_table(summary: Summary) -> Table:
    """One line for each setting: what an image costs it, as if it ran alone."""
    table = Table(title="cost of an image, one worker", title_justify="left")
    table.add_column("setting", overflow="fold")
    for name in ("percent", *wording.COSTS):
        table.add_column(name, justify="right")
    for variant in summary.variants:
        percent = wording.percent(variant.headline.value)
        table.add_row(plain(variant.label), percent, *wording.costs(variant.cost))
    return table


def nearest(variant: Variant) -> list[Comparison]:
    """Published numbers in the run's own formula, the highest first, those around its own."""
    number = variant.headline
    own = 100 * (number.value or 0.0)
    same = [c for c in variant.comparisons if c.comparable and c.formula == number.formula]
    above = sorted((c for c in same if c.value > own), key=lambda c: c.value)[:_NEIGHBOURS]
    below = sorted((c for c in same if c.value <= own), key=lambda c: -c.value)[:_NEIGHBOURS]
    return [*reversed(above), *below]


def _table(first: str, published: Comparison | None, *, named: bool = True) -> Table:
    table = Table(first)
    columns = ["this run", "95 % interval", "episodes"]
    if published is not None:
        formula = f" ({published.formula})" if named else ""
        columns[2:2] = [f"{published.method}{formula}", "delta"]
    for column in columns:
        table.add_column(plain(column), justify="right")
    return table


def _line(variant: Variant, published: bool) -> list[str | Text]:
    number, theirs = variant.headline, variant.counterpart
    beside = (theirs.value, theirs.delta) if theirs else (None, None)
    cells = _cells(number.value, number.interval, beside if published else None)
    if variant.refused:
        cells[0] = "not run"
    return [*cells, _episodes(variant.coverage)]


def _cells(
    value: float | None,
    interval: Interval | None,
    beside: tuple[float | None, float | None] | None,
) -> list[str]:
    """A share, its interval, and what was published beside it with the difference, if wanted."""
    cells = [wording.percent(value), wording.span(interval)]
    if beside:
        cells += [NONE if beside[0] is None else f"{beside[0]:.1f}", wording.points(beside[1])]
    return cells


def _episodes(coverage: Coverage) -> Text:
    text = plain(f"{coverage.ok:,}")
    if coverage.partial:
        text = plain(f"{coverage.ok:,} of {coverage.total:,}")
        text.stylize(_PARTIAL)
    return text
